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

/// Says whether anything was written to the write-ahead log of a database.
pub(super) fn has_content(database: &Path) -> bool {
    File::open(path(database)).is_ok_and(|mut file| !is_zeros(&mut file).unwrap_or(false))
}

/// Answers the damage in the write-ahead log of a database; none where there is no damage, or no such log. Somebody may
/// be writing to it.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn damage(database: &Path) -> io::Result<Option<Damage>> {
    Ok(seen_twice(|| look(database))?.map(|found| damaged(&found.reason)))
}

/// What does not look as it was written.
#[derive(Debug)]
struct Found {
    header: [u8; HEADER_BYTES],
    /// The first bad frame; 0 for the header itself.
    frame: u64,
    reason: String,
}

/// How often a log is looked at that looks different each time.
const LOOKS_MAX: u32 = 16;

/// Looks until what is found is found again in the same place. What is being written while it is read looks bad too, but not
/// twice: what stands behind it was written later, so it is whole at the next look.
fn seen_twice(mut look: impl FnMut() -> io::Result<Option<Found>>) -> io::Result<Option<Found>> {
    let mut before: Option<Found> = None;
    for _ in 0..LOOKS_MAX {
        let Some(found) = look()? else { return Ok(None) };
        if before.is_some_and(|before| (before.header, before.frame) == (found.header, found.frame)) {
            return Ok(Some(found));
        }
        before = Some(found);
    }
    Ok(None)
}

fn look(database: &Path) -> io::Result<Option<Found>> {
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
        let reason = "the header of the write-ahead log is not what was written".to_owned();
        return Ok(Some(Found { header, frame: 0, reason }));
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
    let reason = format!(
        "frame {} of the write-ahead log is not what was written, and {} commits stand behind it",
        state.bad, state.commits_behind
    );
    Ok(Some(Found { header, frame: state.bad, reason }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(salt: u8, frame: u64) -> Found {
        Found { header: [salt; HEADER_BYTES], frame, reason: format!("frame {frame}") }
    }

    /// Looks that find this, one after the other, and the last one from then on.
    fn told(looks: Vec<Option<(u8, u64)>>) -> Option<u64> {
        let mut looks = looks.into_iter();
        let mut last = None;
        let answer = seen_twice(|| {
            last = looks.next().unwrap_or(last);
            Ok(last.map(|(salt, frame)| found(salt, frame)))
        });
        answer.expect("every look succeeds").map(|found| found.frame)
    }

    #[test]
    fn what_is_found_in_the_same_place_again_is_damage() {
        assert_eq!(told(vec![Some((1, 7))]), Some(7));
        assert_eq!(told(vec![Some((1, 5)), Some((1, 9)), Some((1, 9))]), Some(9));
    }

    #[test]
    fn what_was_being_written_is_none() {
        assert_eq!(told(vec![None]), None);
        assert_eq!(told(vec![Some((1, 5)), Some((1, 9)), None]), None);
        assert_eq!(told(vec![Some((1, 5)), Some((2, 5)), None]), None, "it was begun anew");
        let never_the_same = (1..100).map(|frame| Some((1, frame))).collect();
        assert_eq!(told(never_the_same), None);
    }
}
