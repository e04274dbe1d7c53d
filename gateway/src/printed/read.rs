//! Reads an output, piece by piece: an object at a time is in memory, however long the output is.

use super::Source;
use crate::error::ApiError;
use skein_log::printed::{self, Frame};
use skein_log::{BlobError, BlobStore};
use skein_model::paths;
use std::collections::VecDeque;
use std::sync::Arc;

/// Reads one output.
pub(crate) struct Reader {
    blobs: Arc<BlobStore>,
    source: Source,
    /// Which of the folders is read.
    folder: usize,
    /// Its objects from the one that is read on, as far as they are known: where each begins in its folder, and its name.
    objects: VecDeque<(u64, String)>,
    /// The position of the first object's first byte in the output.
    base: u64,
}

impl Reader {
    /// Prepares to read an output.
    pub(crate) fn new(blobs: Arc<BlobStore>, source: Source) -> Self {
        Self { blobs, source, folder: 0, objects: VecDeque::new(), base: 0 }
    }

    /// Takes what is known of the output now.
    pub(crate) fn renew(&mut self, source: Source) {
        if !source.folders.starts_with(&self.source.folders) {
            // An item ran again elsewhere: positions are counted anew.
            (self.folder, self.base) = (0, 0);
            self.objects.clear();
        }
        self.source = source;
    }

    /// Says whether nothing is added to the output any more.
    pub(crate) const fn has_ended(&self) -> bool {
        self.source.has_ended
    }

    /// Answers what there is from byte `from` on, some megabytes at most; nothing when there is no more now. It never
    /// goes back.
    ///
    /// # Errors
    /// When the store does not answer, or an object is damaged.
    pub(crate) async fn next(&mut self, from: u64) -> Result<Vec<u8>, ApiError> {
        while let Some(folder) = self.source.folders.get(self.folder).cloned() {
            // The last object grows, and others follow it.
            if self.objects.len() < 2 {
                self.look(&folder).await?;
            }
            let Some((start, uri)) = self.objects.front().cloned() else {
                if !self.go_on(self.base) {
                    return Ok(Vec::new());
                }
                continue;
            };
            let is_passed = |next: &(u64, String)| self.source.item.is_none() && next.0 <= from;
            if self.objects.get(1).is_some_and(is_passed) {
                self.objects.pop_front();
                continue;
            }
            let frames = match self.blobs.get(&uri, printed::ENCODED_BYTES_MAX).await {
                Ok(object) => printed::frames(object),
                // The same try runs again, and clears what it printed before.
                Err(BlobError::NotFound { .. }) => {
                    self.objects.clear();
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error.into()),
            };
            let frames = frames.map_err(|error| ApiError::internal(&uri, &error))?;
            let base = if self.source.item.is_none() { start } else { self.base };
            let (text, end) = parts(&frames, self.source.item, base, from)
                .map_err(|error| ApiError::internal(&uri, &error))?;
            if !text.is_empty() {
                return Ok(text);
            }
            if self.objects.len() > 1 {
                self.objects.pop_front();
                self.base = end;
            } else if !self.go_on(end) {
                return Ok(Vec::new());
            }
        }
        Ok(Vec::new())
    }

    /// Answers the position from which on the last `lines` lines stand.
    ///
    /// # Errors
    /// See [`Reader::next`].
    pub(crate) async fn last_lines(mut self, lines: usize) -> Result<u64, ApiError> {
        let mut starts = VecDeque::from([0]);
        let mut at = 0_u64;
        loop {
            let text = self.next(at).await?;
            if text.is_empty() {
                break;
            }
            for end in memchr::memchr_iter(b'\n', &text) {
                starts.push_back(at + end as u64 + 1);
                // The end of the output begins no line, but looks so until more comes.
                if starts.len() > lines + 1 {
                    starts.pop_front();
                }
            }
            at += text.len() as u64;
        }
        if starts.back() == Some(&at) {
            starts.pop_back();
        }
        let excess = starts.len().saturating_sub(lines);
        Ok(starts.get(excess).copied().unwrap_or(at))
    }

    async fn look(&mut self, folder: &str) -> Result<(), ApiError> {
        let known = self.objects.front().map_or(0, |(start, _)| *start);
        let listed = self.blobs.list(folder).await?.into_iter();
        let listed = listed.filter_map(|uri| Some((paths::log_start(&uri)?, uri)));
        self.objects = listed.filter(|(start, _)| *start >= known).collect();
        Ok(())
    }

    /// Goes on with the next folder, if there is one.
    fn go_on(&mut self, base: u64) -> bool {
        let is_there = self.folder + 1 < self.source.folders.len();
        if is_there {
            self.folder += 1;
            self.base = base;
            self.objects.clear();
        }
        is_there
    }
}

/// Answers what stands from byte `from` on in an object whose first byte of the output is `base`, and where the next object's
/// would be.
fn parts(
    frames: &[Frame],
    item: Option<u32>,
    base: u64,
    from: u64,
) -> Result<(Vec<u8>, u64), printed::Damaged> {
    let (mut text, mut at) = (Vec::new(), base);
    for frame in frames {
        let mut decoded = None;
        for part in frame.parts(item) {
            let end = at + part.len() as u64;
            if end > from {
                let skipped = usize::try_from(from.saturating_sub(at)).unwrap_or(part.len());
                let decoded = match &mut decoded {
                    Some(decoded) => decoded,
                    none => none.insert(frame.text()?),
                };
                text.extend_from_slice(&decoded[part.start + skipped..part.end]);
            }
            at = end;
        }
    }
    Ok((text, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use skein_log::printed::Mark;

    /// A text, and from which byte on it is which item's.
    type Marked<'a> = (&'a str, &'a [(u32, u32)]);
    type Object<'a> = &'a [Marked<'a>];

    /// A folder with objects of these texts, each object of frames.
    async fn stored(blobs: &BlobStore, prefix: &str, objects: &[Object<'_>]) -> String {
        let mut start = 0;
        for frames in objects {
            let mut object = Vec::new();
            let mut length = 0;
            for (text, marks) in *frames {
                let marks: Vec<Mark> =
                    marks.iter().map(|&(at, item)| Mark { at, item: Some(item) }).collect();
                object.extend_from_slice(&printed::encode(text.as_bytes(), &marks));
                length += text.len() as u64;
            }
            blobs
                .put(&paths::log_object(prefix, start), Bytes::from(object))
                .await
                .expect("a folder of our own");
            start += length;
        }
        paths::log_folder(prefix)
    }

    async fn read(blobs: &BlobStore, source: &Source, from: u64) -> String {
        let mut reader = Reader::new(Arc::new(blobs.clone()), source.clone());
        let mut text = Vec::new();
        loop {
            let more = reader.next(from + text.len() as u64).await.expect("it is there");
            if more.is_empty() {
                return String::from_utf8(text).expect("it was text");
            }
            text.extend_from_slice(&more);
        }
    }

    #[tokio::test]
    async fn an_output_is_read_from_any_byte_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("a folder of our own");
        let objects: [Object<'_>; 3] = [&[("ab", &[]), ("c", &[])], &[("defg", &[])], &[("h", &[])]];
        let log = stored(&blobs, &blobs.url("p"), &objects).await;
        let source = Source { attempt: 0, folders: vec![log], has_ended: true, ..Source::default() };
        for from in 0..=8 {
            assert_eq!(read(&blobs, &source, from as u64).await, "abcdefgh"[from..]);
        }
        assert_eq!(read(&blobs, &source, u64::MAX / 2).await, "");
    }

    #[tokio::test]
    async fn an_item_has_an_output_of_its_own_through_all_ranges_that_it_ran_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("a folder of our own");
        let first: [Object<'_>; 2] =
            [&[("import", &[]), ("1122", &[(0, 1), (2, 2)])], &[("2", &[(0, 2)]), ("3", &[(0, 3)])]];
        let again: [Object<'_>; 1] = [&[("22", &[(0, 2)])]];
        let folders = vec![
            stored(&blobs, &blobs.url("p"), &first).await,
            stored(&blobs, &blobs.url("q"), &again).await,
        ];
        let source = |item| Source {
            attempt: 0,
            folders: folders.clone(),
            item: Some(item),
            has_ended: true,
            ..Source::default()
        };
        for (item, text) in [(1, "11"), (2, "22222"), (3, "3"), (4, "")] {
            for from in 0..=text.len() {
                assert_eq!(read(&blobs, &source(item), from as u64).await, text[from..], "{item}");
            }
        }
    }

    #[tokio::test]
    async fn what_grows_is_read_on_from_where_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("a folder of our own");
        let prefix = blobs.url("p");
        let source = Source { folders: vec![paths::log_folder(&prefix)], ..Source::default() };
        let mut reader = Reader::new(Arc::new(blobs.clone()), source);
        assert_eq!(reader.next(0).await.expect("nothing yet"), b"");
        stored(&blobs, &prefix, &[&[("a", &[])]]).await;
        assert_eq!(reader.next(0).await.expect("it is there"), b"a");
        stored(&blobs, &prefix, &[&[("a", &[]), ("b", &[])]]).await;
        assert_eq!(reader.next(1).await.expect("it is there"), b"b");
        stored(&blobs, &prefix, &[&[("a", &[]), ("b", &[])], &[("c", &[])]]).await;
        assert_eq!(reader.next(2).await.expect("it is there"), b"c");
        assert_eq!(reader.next(3).await.expect("no more"), b"");
    }

    #[tokio::test]
    async fn the_last_lines_are_found_with_and_without_an_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(folder.path()).expect("a folder of our own");
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\nc", 9, "a\nb\nc"),
            ("a\n\n", 1, "\n"),
            ("abc", 1, "abc"),
            ("", 1, ""),
        ] {
            let prefix = blobs.url(&format!("p{}", text.len() * 10 + lines));
            let (first, second) = text.split_at(text.len() / 2);
            let log = if text.is_empty() {
                paths::log_folder(&prefix)
            } else {
                stored(&blobs, &prefix, &[&[(first, &[]), (second, &[])]]).await
            };
            let source = Source { attempt: 0, folders: vec![log], has_ended: true, ..Source::default() };
            let reader = Reader::new(Arc::new(blobs.clone()), source.clone());
            let from = reader.last_lines(lines).await.expect("it is there");
            assert_eq!(read(&blobs, &source, from).await, expected, "{lines} of {text:?}");
        }
    }
}
