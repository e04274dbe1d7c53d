//! Collections that stay where they are stored, and outputs that are put together piece by piece.

use crate::fixtures::{int, list_of, map_of, text, void};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use skein_idl::flyteidl::core::{Literal, LiteralOffloadedMetadata, literal};
use skein_model::event::ItemRange;
use skein_model::literals::{
    ChunkOutputs, StoredCollection, StoredScan, WireError, WireFault, assemble_map, chunk_region,
    encode_literal_map, gap_region, list_head, slice_collection,
};

fn scan(bytes: &[u8], piece: usize) -> Result<StoredCollection, WireError> {
    let mut scan = StoredScan::default();
    for piece in bytes.chunks(piece.max(1)) {
        scan.feed(piece)?;
    }
    scan.finish()
}

fn fault(bytes: &[u8]) -> WireFault {
    let found: Vec<_> = [1, 2, 1_000].map(|piece| scan(bytes, piece).expect_err("it is malformed")).into();
    assert!(found.iter().all(|error| *error == found[0]), "{found:?}");
    found[0].fault
}

fn slice(stored: &StoredCollection, bytes: &Bytes, start: usize, end: usize) -> Bytes {
    let span = stored.span(start, end).expect("the elements are there");
    let bytes =
        &bytes[usize::try_from(span.start).expect("small")..usize::try_from(span.end).expect("small")];
    stored.slice(start, end, bytes).expect("these are the bytes")
}

#[test]
fn a_collection_is_found_whatever_stands_beside_it() {
    let mut literal = list_of([int(1), text("two")]);
    literal.hash = "h".to_owned();
    literal.metadata.insert("k".to_owned(), "v".to_owned());
    let stored = scan(&literal.encode_to_vec(), 3).expect("a collection");
    assert_eq!((stored.len(), stored.is_empty()), (2, false));
    let empty = scan(&list_of([]).encode_to_vec(), 3).expect("a collection");
    assert!(empty.is_empty());
    assert_eq!(empty.span(0, 0).map(|span| span.end - span.start), Ok(0));
}

#[test]
fn only_the_bytes_about_the_elements_are_asked_for() {
    let bytes: Bytes = list_of((0..100_000).map(int)).encode_to_vec().into();
    let stored = scan(&bytes, 1 << 16).expect("a collection");
    let span = stored.span(50_000, 50_010).expect("they are there");
    assert!(span.end - span.start < 2 * 256 * 12, "{span:?}");
    assert_eq!(slice(&stored, &bytes, 50_000, 50_010), list_of((50_000..50_010).map(int)).encode_to_vec());
}

#[test]
fn a_large_element_is_not_read_for_its_neighbour() {
    let large = "x".repeat(100_000);
    let bytes: Bytes = list_of((0..8).map(|_| text(&large))).encode_to_vec().into();
    let span = scan(&bytes, 1 << 16).expect("a collection").span(3, 4).expect("it is there");
    assert!(span.end - span.start < 101_000, "{span:?}");
}

#[test]
fn elements_beyond_the_end_are_refused() {
    let stored = scan(&list_of([int(1)]).encode_to_vec(), 9).expect("a collection");
    let refused = stored.span(0, 2).expect_err("there is one").fault;
    assert_eq!(refused, WireFault::OutOfRange { start: 0, end: 2, len: 1 });
}

#[test]
fn what_is_no_collection_in_one_piece_is_refused() {
    let elsewhere = literal::Value::OffloadedMetadata(LiteralOffloadedMetadata::default());
    let elsewhere = Literal { value: Some(elsewhere), ..Literal::default() };
    for other in [void(), text("x"), map_of([("k", int(1))]), elsewhere, Literal::default()] {
        assert_eq!(fault(&other.encode_to_vec()), WireFault::NotACollection, "{other:?}");
    }
    let list = list_of([int(1)]).encode_to_vec();
    assert_eq!(fault(&[list.clone(), list].concat()), WireFault::InPieces);
}

#[test]
fn malformed_bytes_are_told_however_they_come() {
    let list = list_of([int(1), int(2)]).encode_to_vec();
    for end in 1..list.len() {
        assert_eq!(fault(&list[..end]), WireFault::NumberCut, "cut at {end}");
    }
    assert_eq!(fault(&[0x12, 0x03, 0x0a, 0x05, 0x00]), WireFault::PastEnd { wanted: 5, left: 1 });
    assert_eq!(fault(&[0x12, 0x02, 0x08, 0x05]), WireFault::NotBytes { field: 1 });
    assert_eq!(fault(&[0x02, 0x00]), WireFault::FieldNumber(0));
    assert_eq!(fault(&[0x1b]), WireFault::WireType(3));
    assert_eq!(fault(&[0xff; 11]), WireFault::NumberTooLong);
    let longest = [&[0x12][..], &[0xff; 9], &[0x01]].concat();
    assert_eq!(fault(&longest), WireFault::NumberTooLong);
}

#[test]
fn outputs_that_follow_each_other_in_pieces_are_those_that_are_put_together_at_once() {
    let outputs = |values: &[i64], texts: &[&str]| {
        let numbers = list_of(values.iter().copied().map(int)).encode_to_vec();
        let texts = list_of(texts.iter().copied().map(text)).encode_to_vec();
        encode_literal_map([("n", numbers.as_slice()), ("t", texts.as_slice())])
    };
    let chunk = |start, end, failed: &[u32], outputs| ChunkOutputs {
        range: ItemRange { start, end },
        failed: failed.to_vec(),
        outputs,
    };
    let chunks = [chunk(0, 2, &[], outputs(&[1, 2], &["a", "b"])), chunk(3, 5, &[4], outputs(&[4], &["d"]))];
    let mut pieces = Vec::new();
    for variable in ["n", "t"] {
        let region = [
            chunk_region(variable, &chunks[0]).expect("as many as succeeded"),
            gap_region(1),
            chunk_region(variable, &chunks[1]).expect("as many as succeeded"),
            gap_region(2),
        ]
        .concat();
        pieces.push(list_head(variable, region.len()));
        pieces.push(region.into());
    }
    assert_eq!(Ok(pieces.concat().into()), assemble_map(["t", "n"], 7, &chunks));
}

proptest! {
    #[test]
    fn slices_are_those_of_the_whole(
        sizes in proptest::collection::vec(0_usize..2_000, 0..600),
        piece in 1_usize..5_000,
        ends in (0.0_f64..1.0, 0.0_f64..1.0),
    ) {
        let bytes: Bytes = list_of(sizes.iter().map(|size| text(&"x".repeat(*size)))).encode_to_vec().into();
        let stored = scan(&bytes, piece).expect("a collection");
        prop_assert_eq!(stored.len(), sizes.len());
        let place = |part: f64| (part * sizes.len() as f64) as usize;
        let (start, end) = (place(ends.0.min(ends.1)), place(ends.0.max(ends.1)));
        prop_assert_eq!(slice(&stored, &bytes, start, end), slice_collection(&bytes, start, end).expect("in range"));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
        let found = scan(&bytes, piece);
        prop_assert_eq!(&found, &scan(&bytes, 1_000));
        if let Ok(stored) = found {
            prop_assert!(stored.span(0, stored.len()).is_ok());
        }
    }
}
