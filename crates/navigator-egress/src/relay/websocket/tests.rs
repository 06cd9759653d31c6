use proptest::prelude::*;

use super::*;

fn frame(first: u8, length: u64, mask: bool) -> Vec<u8> {
    let masked = if mask { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(masked | u8::try_from(length).unwrap()),
        126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    if mask {
        bytes.extend_from_slice(&[1, 2, 3, 4]);
    }
    bytes
}

fn whole(first: u8, length: u64, mask: bool) -> Vec<u8> {
    let mut bytes = frame(first, length, mask);
    bytes.resize(bytes.len() + usize::try_from(length).unwrap(), 0x81);
    bytes
}

#[test]
fn only_a_long_text_frame_is_refused() {
    for (first, refused) in [(0x81, true), (0x01, true), (0x82, false), (0x02, false)] {
        let found = Frames::default().pass(&frame(first, 1001, true), 1000);
        assert_eq!(found.is_err(), refused, "{first:#x}");
    }
    assert_eq!(Frames::default().pass(&frame(0x81, 1000, false), 1000), Ok(()));
    assert_eq!(Frames::default().pass(&frame(0x81, u64::MAX, true), 1000), Err(u64::MAX));
}

#[test]
fn a_continued_text_is_text_also_after_a_ping() {
    let mut frames = Frames::default();
    let mut bytes = whole(0x01, 3, true);
    bytes.extend(whole(0x89, 5, true));
    assert_eq!(frames.pass(&bytes, 1000), Ok(()));
    assert_eq!(frames.pass(&frame(0x80, 1001, true), 1000), Err(1001));
}

proptest! {
    /// However the bytes are cut, the same frames are seen.
    #[test]
    fn cuts_do_not_matter(
        lengths in proptest::collection::vec((0u64..70_000, any::<bool>(), 0u8..3), 1..5),
        cut in 1usize..40,
    ) {
        let limit = 66_000;
        let mut bytes = vec![];
        let mut longest = None;
        for (length, mask, opcode) in lengths {
            // Continuations of nothing count as the text that stands before them.
            let text = opcode == 1 || (opcode == 0 && longest.is_some());
            if opcode == 1 && longest.is_none() {
                longest = Some(());
            } else if opcode == 2 {
                longest = None;
            }
            let too_long = text && length > limit;
            bytes.extend(whole(0x80 | opcode, length, mask));
            if too_long {
                let mut frames = Frames::default();
                let seen: Result<(), u64> =
                    bytes.chunks(cut).try_for_each(|part| frames.pass(part, limit));
                prop_assert_eq!(seen, Err(length));
                return Ok(());
            }
        }
        let mut frames = Frames::default();
        prop_assert_eq!(bytes.chunks(cut).try_for_each(|part| frames.pass(part, limit)), Ok(()));
        prop_assert_eq!((frames.known, frames.payload), (0, 0));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Frames::default().pass(&bytes, 10);
    }
}
