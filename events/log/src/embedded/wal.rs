//! Looks for damage in SQLite's write-ahead log, which SQLite itself takes for its end.
//!
//! SQLite stops at the first frame whose checksum does not fit, and forgets what comes after: right for a commit that
//! was cut off, but a flipped bit would silently take away commits that were acknowledged. The two can be told apart:
//! a commit is synced before the next begins, so if two whole commits stand behind the bad frame, the one before them
//! was durable. What cannot be told from a cut-off commit is damage to the very last one.
//!
//! The layout is in SQLite's file format document, section 4.

use super::error::Damage;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first word of a log whose checksums are of words with the low byte first; one more, with the high byte first.
const MAGIC: u32 = 0x377f_0682;
/// Commits behind a bad frame that prove that it was durable.
const COMMITS_THAT_PROVE: u32 = 2;

/// The running checksum of a log: two words.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(self, bytes: &[u8], high_byte_first: bool) -> Self {
        let word = |at: &[u8]| {
            let bytes = [at[0], at[1], at[2], at[3]];
            if high_byte_first { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        bytes.chunks_exact(8).fold(self, |Self(first, second), pair| {
            let first = first.wrapping_add(word(&pair[..4])).wrapping_add(second);
            let second = second.wrapping_add(word(&pair[4..])).wrapping_add(first);
            Self(first, second)
        })
    }
}

/// Makes the write-ahead log of an open database at least so large, with zeros: to SQLite they are the log's end, as are
/// the frames that are left from before it was begun anew. Nobody may write to the database meanwhile.
///
/// # Errors
/// When there is no room for it; then it is as it was.
pub(super) fn reserve(database: &Path, bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut file = File::options().append(true).open(path(database))?;
    let before = file.metadata()?.len();
    let mut fill = || {
        let mut left = bytes.saturating_sub(before);
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(ZEROS.len()).min(ZEROS.len());
            file.write_all(&ZEROS[..part])?;
            left -= part as u64;
        }
        file.sync_all()
    };
    fill().or_else(|error| file.set_len(before).and(Err(error)))
}

fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn is_zeros(file: &mut impl Read) -> io::Result<bool> {
    let mut bytes = [0; 8192];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(true),
            count if bytes[..count].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Answers the damage in the write-ahead log of a database; none where there is no damage, or no such log.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn damage(database: &Path) -> io::Result<Option<Damage>> {
    let mut file = match File::open(path(database)) {
        Ok(file) => BufReader::with_capacity(1 << 20, file),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut file, &mut header)? {
        return Ok(None);
    }
    let Some((high_byte_first, page_bytes, sum)) = read_header(&header) else {
        // Room was kept, and nothing written yet: SQLite syncs the header before it writes anything behind it.
        if header == [0; HEADER_BYTES] && is_zeros(&mut file)? {
            return Ok(None);
        }
        return Ok(Some(damaged("the header of the write-ahead log is not what was written")));
    };
    let salts = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let mut state = State { sum: Some(sum), number: 0, bad: 0, commits_behind: 0 };
    while fill(&mut file, &mut frame)? {
        // Frames with other salts are left from before the log was last begun anew; one of ours may be among them only
        // if its own salts were damaged.
        state.take(&frame, frame[8..16] == *salts, high_byte_first);
    }
    if state.commits_behind < COMMITS_THAT_PROVE {
        return Ok(None);
    }
    Ok(Some(damaged(&format!(
        "frame {} of the write-ahead log is not what was written, and {} commits stand behind it",
        state.bad, state.commits_behind
    ))))
}

struct State {
    /// The checksum up to here; none behind a bad frame.
    sum: Option<Checksum>,
    number: u64,
    bad: u64,
    commits_behind: u32,
}

impl State {
    fn take(&mut self, frame: &[u8], is_of_this_log: bool, high_byte_first: bool) {
        self.number += 1;
        let Some(sum) = self.sum else {
            // A frame that ends a commit names the size of the database after it.
            self.commits_behind += u32::from(is_of_this_log && word(frame, 4) != 0);
            return;
        };
        let sum = sum.add(&frame[..8], high_byte_first).add(&frame[FRAME_HEADER_BYTES..], high_byte_first);
        if is_of_this_log && sum == Checksum(word(frame, 16), word(frame, 20)) {
            self.sum = Some(sum);
        } else {
            self.sum = None;
            self.bad = self.number;
        }
    }
}

/// Answers the order of bytes in checksums, the size of a page, and the checksum so far; none for no header.
fn read_header(header: &[u8; HEADER_BYTES]) -> Option<(bool, usize, Checksum)> {
    let high_byte_first = match word(header, 0) {
        MAGIC => false,
        magic if magic == MAGIC + 1 => true,
        _ => return None,
    };
    let page_bytes = usize::try_from(word(header, 8)).ok().filter(|size| size.is_power_of_two())?;
    let sum = Checksum(0, 0).add(&header[..24], high_byte_first);
    let is_whole =
        (512..=65_536).contains(&page_bytes) && sum == Checksum(word(header, 24), word(header, 28));
    is_whole.then_some((high_byte_first, page_bytes, sum))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads until `bytes` is full; says no at the end of the file.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn damaged(reason: &str) -> Damage {
    Damage::File { after: 0, reason: reason.to_owned() }
}
