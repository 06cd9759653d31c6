//! Whether a program is made to load other people's code: an interpreter with extension modules, or a program that
//! embeds one.
//!
//! Such a program runs any code that it is given, so its rights are those of whoever may start it, and a module that
//! the sandbox can write takes nothing away from them. It is told by the names in its dynamic string table (elf(5)):
//! the functions that it offers to modules, or the interpreter library that it needs.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Functions that modules of Node, Python, Perl, Ruby, PHP, Lua and Erlang call.
const OFFERED: [&[u8]; 7] = [
    b"napi_module_register",
    b"PyModule_Create2",
    b"Perl_xs_handshake",
    b"rb_define_module",
    b"zend_parse_parameters",
    b"lua_newuserdatauv",
    b"enif_make_atom",
];
/// Libraries that hold an interpreter, up to their version.
const NEEDED: [&[u8]; 10] = [
    b"libnode.so",
    b"libpython",
    b"libperl.so",
    b"libruby",
    b"libphp",
    b"liblua",
    b"libjli.so",
    b"libjvm.so",
    b"libjulia.so",
    b"libR.so",
];

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const SEGMENT: usize = 56;
/// Real programs have about a dozen segments, a few dozen dynamic entries, and at most some megabytes of names.
const MAX_SEGMENTS: usize = 128;
const MAX_DYNAMIC: u64 = 64 * 1024;
const MAX_LINKER: u64 = 4096;
const MAX_NAMES: u64 = 32 * 1024 * 1024;

/// Whether this is a 64-bit program that loads modules. What cannot be read is none.
pub(super) fn loads_modules(file: &File) -> bool {
    names(file).is_some_and(|names| {
        names.split(|byte| *byte == 0).any(|name| {
            OFFERED.contains(&name) || NEEDED.iter().any(|library| name.starts_with(library))
        })
    })
}

/// The program that the kernel starts first for this one, and that loads its libraries.
pub(super) fn dynamic_linker(file: &File) -> Option<String> {
    let table = segments(file)?;
    let named = table.chunks_exact(SEGMENT).find(|segment| kind(segment) == Some(PT_INTERP))?;
    let path = read(file, number(named, 8)?, number(named, 32)?.min(MAX_LINKER))?;
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    String::from_utf8(path.get(..end)?.to_vec()).ok()
}

/// The table of segments.
fn segments(file: &File) -> Option<Vec<u8>> {
    let header = read(file, 0, 64)?;
    // A 64-bit file in this machine's byte order; every supported machine is little-endian.
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let count = usize::from(u16::from_le_bytes(header.get(56..58)?.try_into().ok()?));
    if count > MAX_SEGMENTS {
        return None;
    }
    read(file, number(&header, 32)?, (count * SEGMENT) as u64)
}

/// The dynamic string table.
fn names(file: &File) -> Option<Vec<u8>> {
    let table = segments(file)?;
    let segments: Vec<&[u8]> = table.chunks_exact(SEGMENT).collect();
    let dynamic = segments.iter().find(|segment| kind(segment) == Some(PT_DYNAMIC))?;
    let size = number(dynamic, 32)?.min(MAX_DYNAMIC);
    let dynamic = read(file, number(dynamic, 8)?, size)?;
    let entry = |tag| {
        dynamic
            .chunks_exact(16)
            .find(|entry| number(entry, 0) == Some(tag))
            .map(|e| number(e, 8))?
    };
    let (address, size) = (entry(DT_STRTAB)?, entry(DT_STRSZ)?);
    if size > MAX_NAMES {
        return None;
    }
    let offset = segments.iter().filter(|s| kind(s) == Some(PT_LOAD)).find_map(|segment| {
        let inside = address.checked_sub(number(segment, 16)?)?;
        (inside < number(segment, 32)?).then(|| number(segment, 8)?.checked_add(inside))?
    })?;
    read(file, offset, size)
}

fn read(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn kind(segment: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(segment.get(..4)?.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn interpreters_are_told_from_programs_that_load_nothing() {
        for (path, expected) in [
            ("/usr/bin/python3", true),
            ("/usr/bin/perl", true),
            ("/usr/bin/node", true),
            ("/usr/bin/java", true),
            ("/usr/bin/curl", false),
            ("/usr/bin/git", false),
            ("/usr/bin/ssh", false),
            ("/bin/sh", false),
            ("/bin/cat", false),
        ] {
            match File::open(path) {
                Ok(file) => assert_eq!(loads_modules(&file), expected, "{path}"),
                Err(error) => println!("{path}: skipped: {error}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_no_program_or_a_torn_one_loads_nothing() {
        let whole = std::fs::read("/usr/bin/python3").unwrap_or_default();
        for length in [0, 4, 63, 64, 100, 700, 5_000] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&whole[..length.min(whole.len())]).unwrap();
            assert!(!loads_modules(&file), "{length}");
        }
        let mut wild = whole[..whole.len().min(4096)].to_vec();
        for at in (0..wild.len()).step_by(7) {
            wild[at] = 0xff;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&wild).unwrap();
            loads_modules(&file);
        }
    }
}
