//! Each decoder survives its corpus, and what becomes of the corpus when bytes are lost, flipped, repeated and added.

use skein_decoders::TARGETS;
use std::path::Path;

/// Variants made of each file of the corpus: fewer where each one is written to disk.
fn variants(target: &str) -> u64 {
    if target == "archive" { 40 } else { 2000 }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("every target has a corpus")
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).expect("the file can be read")).collect()
}

/// A row of numbers that is the same in each run (splitmix64).
struct Row(u64);

impl Row {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("it is below a size")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn damage(bytes: &[u8], row: &mut Row) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=row.below(4) {
        let at = row.below(damaged.len());
        match row.below(5) {
            0 => damaged.truncate(at),
            1 if !damaged.is_empty() => damaged[at] ^= 1 << row.below(8),
            2 if !damaged.is_empty() => damaged[at] = row.byte(),
            3 => {
                let repeated: Vec<u8> = damaged[at..].iter().take(16).copied().collect();
                damaged.splice(at..at, repeated);
            }
            _ => damaged.insert(at, row.byte()),
        }
    }
    damaged
}

#[test]
fn every_decoder_survives_its_corpus_whole_and_damaged() {
    for (name, decode) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
        for (index, bytes) in corpus.iter().enumerate() {
            decode(bytes);
            let mut row = Row(index as u64);
            for _ in 0..variants(name) {
                decode(&damage(bytes, &mut row));
            }
        }
    }
}

#[test]
fn every_decoder_takes_nothing_and_noise() {
    let mut row = Row(7);
    for (_, decode) in TARGETS {
        decode(&[]);
        for length in 1..200 {
            let noise: Vec<u8> = (0..length).map(|_| row.byte()).collect();
            decode(&noise);
        }
    }
}
