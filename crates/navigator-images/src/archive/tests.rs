//! What is read from archives of other programs and from hostile ones.

use std::io::Cursor;

use super::*;

fn entries(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, ArchiveError> {
    let mut archive = Archive::new(Streamed(bytes));
    let mut all = vec![];
    while let Some(member) = archive.next()? {
        let mut body = vec![];
        while archive.body_left() > 0 {
            let mut chunk = [0; 100];
            let length = archive.read(&mut chunk)?;
            body.extend_from_slice(&chunk[..length]);
        }
        all.push((member, body));
    }
    Ok(all)
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_path("a").unwrap();
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn block(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[test]
fn long_names_and_bodies_come_through() {
    let name = "d/".repeat(120) + "file";
    let mut builder = tar::Builder::new(vec![]);
    let mut header = Header::new_gnu();
    header.set_size(5);
    builder.append_data(&mut header, &name, &b"hello"[..]).unwrap();
    builder.append_data(&mut header, "b", &b"world"[..]).unwrap();
    let read = entries(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].0.path.as_slice(), read[0].1.as_slice()), (name.as_bytes(), &b"hello"[..]));
    assert_eq!((read[1].0.path.as_slice(), read[1].1.as_slice()), (&b"b"[..], &b"world"[..]));
}

fn record(keyword: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {keyword}={value}\n");
    format!("{}{rest}", rest.len() + 2).into_bytes()
}

#[test]
fn extended_headers_win_over_fields() {
    let fields = [("path", "xyz1"), ("mtime", "1234567890.5"), ("uid", "70000")];
    let records: Vec<u8> = fields.iter().flat_map(|(k, v)| record(k, v)).collect();
    let records = [&records[..], b"9 size=3\n"].concat();
    let mut bytes = block(&header(EntryType::XHeader, records.len() as u64), &records);
    bytes.extend(block(&header(EntryType::Regular, 0), b"abc"));
    let (member, body) = entries(&bytes).unwrap().remove(0);
    assert_eq!(
        (member.path.as_slice(), member.uid, body.as_slice()),
        (&b"xyz1"[..], 70000, &b"abc"[..])
    );
    assert_eq!(member.mtime, (1_234_567_890, 500_000_000));
    for wrong in
        [&b"8 size=3\n"[..], b"11 size=3\n", b"size=3\n", b"9 size=x\n", b"9 size=3", b"4 a\n"]
    {
        let mut bytes = block(&header(EntryType::XHeader, wrong.len() as u64), wrong);
        bytes.extend(block(&header(EntryType::Regular, 0), b""));
        assert!(matches!(entries(&bytes), Err(ArchiveError::Extended)), "{wrong:?}");
    }
}

#[test]
fn a_header_of_a_megabyte_is_not_kept() {
    for kind in [
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let huge = header(kind, 64 << 30);
        let stream = Cursor::new(huge.as_bytes().to_vec()).chain(io::repeat(b'a'));
        let error = Archive::new(Streamed(stream)).next().unwrap_err();
        assert!(matches!(error, ArchiveError::TooLong { .. }), "{error}");
    }
}

#[test]
fn sizes_that_lie_are_refused() {
    let mut negative = header(EntryType::Regular, 0);
    negative.as_old_mut().size = [0xff; 12];
    negative.set_cksum();
    assert!(matches!(entries(negative.as_bytes()), Err(ArchiveError::Number { .. })));
    let overflowing = header(EntryType::Regular, u64::MAX);
    assert!(matches!(entries(overflowing.as_bytes()), Err(ArchiveError::Number { .. })));
    let long = block(&header(EntryType::Regular, 5000), b"short");
    assert!(matches!(entries(&long), Err(ArchiveError::Read(_))));
    let mut sum = header(EntryType::Regular, 0);
    sum.as_old_mut().cksum = *b"0000000\0";
    assert!(matches!(entries(sum.as_bytes()), Err(ArchiveError::Sum)));
}

#[test]
fn the_maps_of_sparse_files_are_checked() {
    let sparse = |map: &str| {
        let body = format!("{map}{}", "\0".repeat(BLOCK - map.len())) + "data";
        let mut records = vec![];
        for (keyword, value) in
            [("major", "1"), ("minor", "0"), ("realsize", "1000"), ("name", "s")]
        {
            let rest = format!(" GNU.sparse.{keyword}={value}\n");
            records.extend_from_slice(format!("{}{rest}", rest.len() + 2).as_bytes());
        }
        let mut bytes = block(&header(EntryType::XHeader, records.len() as u64), &records);
        bytes.extend(block(&header(EntryType::Regular, body.len() as u64), body.as_bytes()));
        bytes
    };
    let read = entries(&sparse("1\n500\n4\n")).unwrap();
    assert_eq!((read[0].0.size, read[0].0.path.as_slice()), (1000, &b"s"[..]));
    assert_eq!(read[0].0.segments.as_deref(), Some(&[Segment { offset: 500, length: 4 }][..]));
    assert_eq!(read[0].1, b"data");
    for wrong in [
        "1\n500\n5\n",
        "1\n999\n4\n",
        "2\n500\n2\n400\n2\n",
        "9999999\n",
        "1\n18446744073709551615\n4\n",
        "x\n",
    ] {
        assert!(entries(&sparse(wrong)).is_err(), "{wrong:?}");
    }
}
