//! Taking a layer's compression away, whatever its media type calls it.

use std::io::{self, BufRead, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Frames of zstd that hold no data begin with one of sixteen numbers, which differ in the lowest byte's low half.
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
/// The header of a frame with a window of 1 KiB. The decoder refuses windows above 100 MiB, but only once it was used.
const SMALL_FRAME: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0, 0];
/// Bytes that tell formats apart.
const MAGIC: usize = 4;

/// The uncompressed bytes of a stream.
pub(crate) fn decompressed<'a, R: BufRead + 'a>(mut stream: R) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = vec![];
    (&mut stream).take(MAGIC as u64).read_to_end(&mut magic)?;
    let gzip = magic.starts_with(&GZIP);
    let zstd = magic == ZSTD || is_skippable(&magic);
    let whole = Cursor::new(magic).chain(stream);
    if gzip {
        return Ok(Box::new(MultiGzDecoder::new(whole)));
    }
    if zstd {
        return Ok(Box::new(Frames { source: whole, frame: None }));
    }
    Ok(Box::new(whole))
}

fn is_skippable(magic: &[u8]) -> bool {
    magic.len() == MAGIC && magic[0] & 0xf0 == 0x50 && magic[1..] == SKIPPABLE
}

/// Frames of zstd, one after the other.
struct Frames<R> {
    source: R,
    /// The frame that is being read.
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame; nothing when there is none.
    fn begin(&mut self) -> io::Result<Option<FrameDecoder>> {
        while !self.source.fill_buf()?.is_empty() {
            let mut magic = [0; MAGIC];
            self.source.read_exact(&mut magic)?;
            if !is_skippable(&magic) {
                let mut decoder = FrameDecoder::new();
                decoder.init(SMALL_FRAME).map_err(io::Error::other)?;
                decoder
                    .init(Cursor::new(magic).chain(&mut self.source))
                    .map_err(io::Error::other)?;
                return Ok(Some(decoder));
            }
            let mut length = [0; 4];
            self.source.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
        }
        Ok(None)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else {
                self.frame = self.begin()?;
                if self.frame.is_none() {
                    return Ok(0);
                }
                continue;
            };
            // One block at a time: what is decoded and not read stays below the window and a block.
            while frame.can_collect() == 0 && !frame.is_finished() {
                let block = BlockDecodingStrategy::UptoBlocks(1);
                frame.decode_blocks(&mut self.source, block).map_err(io::Error::other)?;
            }
            let length = frame.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            self.frame = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = vec![];
        decompressed(bytes)?.read_to_end(&mut plain).map(|_| plain)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn every_compression_is_recognised_by_its_first_bytes() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let framed = [skippable.clone(), zstd(&plain), skippable, zstd(b"end")].concat();
        assert_eq!(read(&plain).unwrap(), plain);
        assert_eq!(
            read(&[gzip(&plain), gzip(b"end")].concat()).unwrap(),
            [&plain[..], b"end"].concat()
        );
        assert_eq!(read(&framed).unwrap(), [&plain[..], b"end"].concat());
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn cut_streams_and_garbage_after_them_are_errors() {
        for whole in [gzip(b"some bytes that are there"), zstd(b"some bytes that are there")] {
            assert!(read(&whole[..whole.len() - 3]).is_err());
            assert!(read(&[&whole[..], b"garbage"].concat()).is_err());
        }
    }

    #[test]
    fn a_window_that_would_take_all_memory_is_refused() {
        // Window descriptor of the largest exponent: 2^41 bytes.
        assert!(read(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 0, 0, 0, 0, 0]).is_err());
    }
}
