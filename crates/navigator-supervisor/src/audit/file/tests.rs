use super::*;
use crate::audit::{History, Note, Problem, Report, samples, verify};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("audit.jsonl")
    }

    fn open(&self) -> ChainedFile {
        ChainedFile::open(&self.path()).unwrap()
    }

    fn bounded(&self, rotate_at: u64, kept: usize) -> ChainedFile {
        ChainedFile::open_bounded(&self.path(), Bounds { rotate_at, kept }).unwrap()
    }

    fn check(&self) -> Report {
        verify(&mut History::of(&self.path()).unwrap(), None).unwrap()
    }

    fn text(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn event() -> Event {
    Event::Decision(Box::new(samples::denied()))
}

fn append(file: &mut ChainedFile, count: usize) {
    for _ in 0..count {
        file.append(&event()).unwrap();
    }
}

#[test]
fn what_is_written_verifies_over_several_runs() {
    let dir = Dir::new();
    for _ in 0..3 {
        append(&mut dir.open(), 4);
    }
    let report = dir.check();
    assert!(report.intact, "{report:?}");
    assert_eq!((report.lines, report.last_seq), (12, Some(12)));
}

#[test]
fn writers_that_take_turns_make_one_chain() {
    let dir = Dir::new();
    let (mut one, mut two) = (dir.open(), dir.open());
    for _ in 0..5 {
        append(&mut one, 1);
        append(&mut two, 2);
    }
    assert!(dir.check().intact);
    assert_eq!(dir.check().last_seq, Some(15));
}

#[test]
fn many_writers_at_once_make_one_chain_also_over_rotations() {
    let dir = Dir::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| append(&mut dir.bounded(20_000, 1000), 200));
        }
    });
    let report = dir.check();
    assert!(report.intact, "{report:?}");
    assert!(dir.names().len() > 3);
    // Each rotation adds a line at the end of a file and one at the beginning of the next.
    assert_eq!(report.lines, 1600 + 2 * (dir.names().len() as u64 - 1));
}

#[test]
fn a_line_that_a_crash_cut_off_is_sealed_and_not_lost() {
    for (cut, newline) in [(1, false), (300, false), (300, true), (700, false)] {
        let dir = Dir::new();
        append(&mut dir.open(), 3);
        let text = dir.text();
        std::fs::write(dir.path(), &text[..text.len() - cut]).unwrap();
        if newline {
            OpenOptions::new().append(true).open(dir.path()).unwrap().write_all(b"\n").unwrap();
        }
        append(&mut dir.open(), 2);
        let report = dir.check();
        assert!(report.intact, "{cut}: {report:?}");
        assert!(cut == 1 || matches!(report.notes[..], [Note::Sealed { .. }]), "{cut}: {report:?}");
        assert!(dir.text().starts_with(&text[..text.len() - cut]), "what was there stays there");
    }
}

#[test]
fn lines_without_a_chain_are_taken_over() {
    let dir = Dir::new();
    std::fs::write(dir.path(), "{\"event\":\"end\"}\n{\"event\":\"end\"}\n").unwrap();
    append(&mut dir.open(), 2);
    let report = dir.check();
    assert!(report.intact);
    assert_eq!(report.notes, [Note::Unchained { lines: 2 }]);
}

#[test]
fn what_is_no_audit_file_is_appended_to_all_the_same() {
    let dir = Dir::new();
    std::fs::write(dir.path(), vec![b'x'; 300_000]).unwrap();
    append(&mut dir.open(), 2);
    assert!(dir.check().intact);
    let mut long = dir.text();
    long.extend(vec![b'y'; 300_000]);
    std::fs::write(dir.path(), long).unwrap();
    append(&mut dir.open(), 1);
    let report = dir.check();
    assert!(report.intact && report.last_seq == Some(4), "{report:?}");
}

#[test]
fn cutting_a_file_under_a_writer_shows() {
    let dir = Dir::new();
    let mut file = dir.open();
    append(&mut file, 4);
    let text = dir.text();
    let ends: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'\n').collect();
    let kept = ends[1] as u64 + 1;
    OpenOptions::new().write(true).open(dir.path()).unwrap().set_len(kept).unwrap();
    append(&mut file, 2);
    let report = dir.check();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].problem, Problem::Missing { count: 2 });
}

#[test]
fn exchanging_the_last_line_under_a_writer_shows() {
    let dir = Dir::new();
    let mut file = dir.open();
    append(&mut file, 3);
    let text = String::from_utf8(dir.text()).unwrap();
    let last = text.rfind("example.com").unwrap();
    let forged = format!("{}other{}", &text[..last], &text[last..]);
    std::fs::write(dir.path(), forged).unwrap();
    append(&mut file, 1);
    assert_eq!(dir.check().findings[0].problem, Problem::Altered);
}

#[test]
fn deleting_a_file_under_a_writer_shows_and_stops_nothing() {
    let dir = Dir::new();
    let mut file = dir.open();
    append(&mut file, 3);
    std::fs::remove_file(dir.path()).unwrap();
    append(&mut file, 2);
    let report = dir.check();
    assert_eq!(report.lines, 2);
    let missing = Problem::MissingBeginning { seq: 4, from: None };
    assert_eq!(report.findings[0].problem, missing);
}

#[test]
fn a_full_file_is_set_aside_and_the_chain_goes_on() {
    let dir = Dir::new();
    let mut file = dir.bounded(2_000, 3);
    append(&mut file, 30);
    let report = dir.check();
    assert!(report.intact, "{report:?}");
    assert_eq!(dir.names().len(), 4, "the file and three full ones: {:?}", dir.names());
    assert!(matches!(report.notes[..], [Note::Continues { .. }]));
    let oldest = crate::audit::history::named_aside(&dir.path()).remove(1);
    std::fs::remove_file(oldest).unwrap();
    assert!(matches!(dir.check().findings[0].problem, Problem::Missing { .. }));
}

#[test]
fn a_clock_that_jumps_back_does_not_cost_the_newest_file() {
    let dir = Dir::new();
    let mut file = dir.bounded(2_000, 9);
    append(&mut file, 10);
    let files = crate::audit::history::named_aside(&dir.path());
    let newest = files.last().unwrap();
    std::fs::rename(newest, newest.with_file_name("audit-19700101T000000.000000Z.jsonl")).unwrap();
    let surplus = rotate::surplus(&dir.path(), files.len() - 1);
    assert_eq!(surplus, files[..1]);
}

#[test]
fn another_writer_follows_a_rotation() {
    let dir = Dir::new();
    let (mut one, mut two) = (dir.bounded(2_000, 9), dir.bounded(u64::MAX, 9));
    append(&mut two, 1);
    append(&mut one, 12);
    append(&mut two, 1);
    let report = dir.check();
    assert!(report.intact, "{report:?}");
    assert!(String::from_utf8(dir.text()).unwrap().lines().count() > 1);
}

#[test]
fn a_rotation_that_was_killed_before_the_last_line_is_made_again() {
    let dir = Dir::new();
    append(&mut dir.open(), 3);
    rotate::set_aside(&dir.path()).unwrap();
    assert!(dir.check().intact);
    append(&mut dir.bounded(1_000, 9), 1);
    let report = dir.check();
    assert!(report.intact && report.lines == 6, "{report:?}");
    assert_eq!(dir.names().len(), 3, "the full file has two names");
}

#[test]
fn a_rotation_that_was_killed_after_the_last_line_is_finished() {
    let dir = Dir::new();
    let mut file = dir.open();
    append(&mut file, 3);
    let (_, closing) = rotate::set_aside(&dir.path()).unwrap();
    file.append(&closing).unwrap();
    std::fs::write(dir.0.path().join(".audit.jsonl.next"), "half a li").unwrap();
    append(&mut dir.open(), 1);
    append(&mut file, 1);
    let report = dir.check();
    assert!(report.intact, "{report:?}");
    assert_eq!((report.lines, dir.names().len()), (7, 2));
}

#[test]
fn a_file_that_cannot_be_set_aside_grows_on() {
    let dir = Dir::new();
    let mut file = dir.bounded(2_000, 9);
    append(&mut file, 2);
    // The name leads elsewhere now, so it is not this file that would be moved.
    std::fs::rename(dir.path(), dir.0.path().join("moved.jsonl")).unwrap();
    append(&mut file, 10);
    let moved = dir.0.path().join("moved.jsonl");
    let report = verify(&mut History::exactly(&[moved]).unwrap(), None).unwrap();
    assert!(report.intact && report.lines == 12, "{report:?}");
}

#[test]
fn a_full_disk_is_an_error_and_the_chain_goes_on_afterwards() {
    let mut full = ChainedFile::open(Path::new("/dev/full")).unwrap();
    assert!(full.append(&event()).is_err());
    let dir = Dir::new();
    let mut file = dir.open();
    append(&mut file, 2);
    // What a disk does that fills in the middle of a line.
    let mut half = OpenOptions::new().append(true).open(dir.path()).unwrap();
    half.write_all(b"{\"seq\":3,\"prev\":\"abc").unwrap();
    file.end = None;
    append(&mut file, 2);
    let report = dir.check();
    assert!(report.intact && matches!(report.notes[..], [Note::Sealed { .. }]), "{report:?}");
}

#[test]
fn a_lock_that_somebody_keeps_costs_one_wait_and_not_each_line() {
    let dir = Dir::new();
    let mut file = dir.open();
    append(&mut file, 1);
    let other = File::open(dir.path()).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    assert!(file.append(&event()).is_err());
    assert!(file.stalled);
    for _ in 0..1_000 {
        assert!(file.append(&event()).is_err());
    }
    rustix::fs::flock(&other, FlockOperation::Unlock).unwrap();
    append(&mut file, 1);
    assert!(!file.stalled && dir.check().intact);
}

#[test]
fn files_and_directories_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let path = dir.0.path().join("a/b/audit.jsonl");
    append(&mut ChainedFile::open(&path).unwrap(), 1);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn devices_are_written_to_and_directories_are_refused() {
    let mut null = ChainedFile::open(Path::new("/dev/null")).unwrap();
    append(&mut null, 2);
    assert_eq!(null.end.unwrap().next.seq, 3);
    assert!(ChainedFile::open(Path::new("/")).is_err());
    assert!(ChainedFile::open(Path::new("/proc/no/such/file")).is_err());
}
