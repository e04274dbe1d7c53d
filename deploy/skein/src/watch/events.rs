//! Takes server-sent events apart, however they were cut on the way.

/// The longest line that is taken, in bytes: an execution of ten thousand nodes has some megabytes.
const LINE_BYTES_MAX: usize = 64 << 20;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: String,
}

/// A line that is longer than any that a server sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has a line of more than {LINE_BYTES_MAX} bytes")]
pub struct TooLong;

/// The events of one stream.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    name: String,
    data: Vec<String>,
}

impl Events {
    /// Takes the next bytes; answers the events that they complete.
    ///
    /// # Errors
    /// [`TooLong`]; nothing sensible follows then.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_line(String::from_utf8_lossy(&line).trim_end_matches('\r')));
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > LINE_BYTES_MAX { Err(TooLong) } else { Ok(events) }
    }

    fn end_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| Event { name, data: data.join("\n") });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            // Comments, and fields that are not asked for.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: progress\ndata: {\"é\":1}\n\n: still here\n\nevent: end\r\ndata: {}\r\n\r\n";

    fn expected() -> [Event; 2] {
        [("progress", "{\"é\":1}"), ("end", "{}")]
            .map(|(name, data)| Event { name: name.to_owned(), data: data.to_owned() })
    }

    #[test]
    fn events_are_the_same_wherever_they_were_cut() {
        for length in 1..=STREAM.len() {
            let mut events = Events::default();
            let pieces = STREAM.as_bytes().chunks(length);
            let taken: Vec<Event> =
                pieces.flat_map(|piece| events.take(piece).expect("short lines")).collect();
            assert_eq!(taken, expected(), "in pieces of {length}");
        }
    }

    #[test]
    fn data_of_several_lines_is_one_event() {
        let taken = Events::default().take(b"data: a\ndata:b\nid: 7\n\n");
        assert_eq!(taken, Ok(vec![Event { name: String::new(), data: "a\nb".to_owned() }]));
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut events = Events::default();
        let piece = vec![b'x'; LINE_BYTES_MAX / 2];
        assert_eq!(events.take(&piece), Ok(vec![]));
        assert_eq!(events.take(&piece), Ok(vec![]));
        assert_eq!(events.take(b"x"), Err(TooLong));
    }
}
