//! Encoded literals: what is found in them, and what is made of them.

use crate::fixtures::{int, list_of, literals, map_of, text, void};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use skein_idl::flyteidl::core::{Literal, LiteralMap, LiteralOffloadedMetadata, literal};
use skein_model::event::ItemRange;
use skein_model::literals::{
    ChunkOutputs, Collection, CollectionBuilder, CollectionElements, LiteralKind, NONE_LITERAL, WireError,
    WireFault, assemble_collections, assemble_map, collection_elements, collection_len, encode_boolean,
    encode_collection, encode_float, encode_integer, encode_literal_map, encode_map, encode_string, kind_of,
    literal_map_entries, literal_map_entry, map_entries, slice_collection,
};

fn encoded(value: &impl prost::Message) -> Bytes {
    value.encode_to_vec().into()
}

fn decoded(bytes: &Bytes) -> Literal {
    Literal::decode(bytes.clone()).expect("an encoded literal")
}

fn numbers(range: std::ops::Range<i64>) -> Literal {
    list_of(range.map(int))
}

#[test]
fn the_constant_none_is_the_value_none() {
    assert_eq!(encoded(&void()), NONE_LITERAL);
}

#[test]
fn primitives_are_encoded_as_the_sdk_does() {
    assert_eq!(decoded(&encode_integer(-3)), int(-3));
    assert_eq!(decoded(&encode_string("ä")), text("ä"));
    assert!(Literal::decode(encode_float(0.5)).is_ok() && Literal::decode(encode_boolean(true)).is_ok());
}

#[test]
fn the_kind_of_a_literal_shows_from_outside() {
    let elsewhere = literal::Value::OffloadedMetadata(LiteralOffloadedMetadata::default());
    let offloaded = Literal { value: Some(elsewhere), hash: "h".to_owned(), ..Literal::default() };
    for (value, kind) in [
        (int(1), LiteralKind::Scalar),
        (numbers(0..2), LiteralKind::Collection),
        (map_of([("a", int(1))]), LiteralKind::Map),
        (offloaded, LiteralKind::Offloaded),
        (Literal { hash: "h".to_owned(), ..Literal::default() }, LiteralKind::Empty),
    ] {
        assert_eq!(kind_of(&encoded(&value)), Ok(kind));
    }
}

#[test]
fn entries_of_a_literal_map_stay_encoded() {
    let map = encoded(&literals([("a", int(1)), ("b", text("x")), ("", void())]));
    let entries = literal_map_entries(&map).expect("a map");
    let expected = [("", void()), ("a", int(1)), ("b", text("x"))];
    assert_eq!(entries, expected.map(|(name, value)| (name.to_owned(), encoded(&value))));
    assert_eq!(literal_map_entry(&map, "b"), Ok(Some(encoded(&text("x")))));
    assert_eq!(literal_map_entry(&map, "z"), Ok(None));
}

#[test]
fn of_a_name_that_comes_twice_the_last_counts() {
    let twice = [encoded(&literals([("a", int(1))])), encoded(&literals([("a", int(2))]))].concat().into();
    assert_eq!(literal_map_entries(&twice), Ok(vec![("a".to_owned(), encoded(&int(2)))]));
    assert_eq!(literal_map_entry(&twice, "a"), Ok(Some(encoded(&int(2)))));
}

#[test]
fn a_literal_map_is_encoded_from_encoded_literals() {
    let (one, none) = (encode_integer(1), Bytes::from_static(NONE_LITERAL));
    let entries = [("b", none.as_ref()), ("a", one.as_ref())];
    let map = LiteralMap::decode(encode_literal_map(entries)).expect("a map");
    assert_eq!(map, literals([("a", int(1)), ("b", void())]));
    assert_eq!(decoded(&encode_map(entries)), map_of([("a", int(1)), ("b", void())]));
    assert_eq!(
        map_entries(&encode_map(entries)).map(|entries| entries.map(|entries| entries.len())),
        Ok(Some(2))
    );
    assert_eq!(map_entries(&one), Ok(None));
}

#[test]
fn elements_of_a_collection_stay_encoded() {
    let collection = encoded(&numbers(0..3));
    let elements = collection_elements(&collection).expect("a literal").expect("a collection");
    assert_eq!(elements, [int(0), int(1), int(2)].map(|value| encoded(&value)));
    assert_eq!(collection_len(&collection), Ok(Some(3)));
    assert_eq!(encode_collection(&elements), collection);
}

#[test]
fn what_is_no_collection_has_no_elements() {
    assert_eq!(collection_elements(&encode_integer(1)), Ok(None));
    assert_eq!(collection_len(&encode_integer(1)), Ok(None));
    assert_eq!(collection_len(&encoded(&list_of([]))), Ok(Some(0)));
    assert!(Collection::of(&encode_integer(1)).expect("a literal").is_none());
}

#[test]
fn a_slice_of_a_collection_is_a_collection() {
    let collection = encoded(&numbers(0..500));
    let indexed = Collection::of(&collection).expect("a literal").expect("a collection");
    assert_eq!(indexed.len(), 500);
    for (start, end) in [(0, 0), (0, 1), (0, 500), (63, 65), (64, 128), (100, 333), (499, 500), (500, 500)] {
        let expected = encoded(&numbers(start as i64..end as i64));
        assert_eq!(indexed.slice(start, end), Ok(expected.clone()), "{start}..{end}");
        assert_eq!(slice_collection(&collection, start, end), Ok(expected));
    }
    assert_eq!(indexed.element(64), Some(encode_integer(64)));
    assert_eq!(indexed.element(500), None);
}

#[test]
fn a_slice_beyond_the_end_is_refused() {
    let collection = encoded(&numbers(0..3));
    for (start, end) in [(0, 4), (4, 4), (2, 1), (usize::MAX, usize::MAX)] {
        let refused = WireError { offset: 0, fault: WireFault::OutOfRange { start, end, len: 3 } };
        assert_eq!(slice_collection(&collection, start, end), Err(refused));
    }
}

#[test]
fn a_collection_in_several_pieces_is_one_collection() {
    let pieces: Bytes = [encoded(&numbers(0..2)), encoded(&numbers(2..100))].concat().into();
    assert_eq!(decoded(&pieces), numbers(0..100));
    assert_eq!(collection_len(&pieces), Ok(Some(100)));
    assert_eq!(slice_collection(&pieces, 1, 3), Ok(encoded(&numbers(1..3))));
}

#[test]
fn of_two_kinds_of_value_the_last_counts() {
    let both: Bytes = [encoded(&numbers(0..2)), encode_integer(1)].concat().into();
    assert_eq!(kind_of(&both), Ok(LiteralKind::Scalar));
    let again: Bytes = [encoded(&numbers(0..2)), encode_integer(1), encoded(&numbers(5..6))].concat().into();
    assert_eq!(collection_elements(&again), Ok(Some(vec![encode_integer(5)])));
    assert_eq!(decoded(&again), numbers(5..6));
}

#[test]
fn collections_of_a_name_are_joined_in_order() {
    let part = |range: std::ops::Range<i64>| encoded(&literals([("o0", numbers(range))]));
    let other = encoded(&literals([("o0", numbers(4..5)), ("o1", list_of([text("x")]))]));
    let joined = assemble_collections(&[part(0..3), part(3..4), Bytes::new(), other]).expect("collections");
    assert_eq!(joined, encoded(&literals([("o0", numbers(0..5)), ("o1", list_of([text("x")]))])));
}

fn chunk(start: u32, end: u32, failed: &[u32], values: &[i64]) -> ChunkOutputs {
    let outputs = encoded(&literals([("o0", list_of(values.iter().copied().map(int)))]));
    ChunkOutputs { range: ItemRange { start, end }, failed: failed.to_vec(), outputs }
}

#[test]
fn a_map_s_outputs_keep_the_order_of_items_and_failed_ones_are_none() {
    let chunks = [chunk(0, 3, &[1], &[0, 2]), chunk(3, 4, &[3], &[]), chunk(5, 6, &[], &[5])];
    let expected = list_of([int(0), void(), int(2), void(), void(), int(5), void()]);
    assert_eq!(assemble_map(["o0"], 7, &chunks), Ok(encoded(&literals([("o0", expected)]))));
}

#[test]
fn a_map_over_nothing_gives_empty_lists() {
    let expected = literals([("o0", list_of([])), ("o1", list_of([]))]);
    assert_eq!(assemble_map(["o0", "o1"], 0, &[]), Ok(encoded(&expected)));
}

#[test]
fn a_chunk_with_too_few_or_too_many_outputs_is_refused() {
    for (values, found) in [(&[0_i64][..], 1), (&[0, 1, 2], 3)] {
        let refused = WireError { offset: 0, fault: WireFault::Count { expected: 2, found } };
        assert_eq!(assemble_map(["o0"], 2, &[chunk(0, 2, &[], values)]), Err(refused));
    }
}

#[test]
fn chunks_that_overlap_or_leave_the_map_are_refused() {
    let overlapping = [chunk(0, 2, &[], &[0, 1]), chunk(1, 2, &[], &[1])];
    let refused = |start, free| Err(WireError { offset: 0, fault: WireFault::Overlap { start, free } });
    assert_eq!(assemble_map(["o0"], 2, &overlapping), refused(1, 2));
    assert_eq!(assemble_map(["o0"], 1, &overlapping[..1]), refused(0, 0));
}

#[test]
fn malformed_bytes_are_told_with_their_place() {
    let fault =
        |bytes: &'static [u8]| collection_elements(&Bytes::from_static(bytes)).expect_err("malformed");
    let at = |offset, fault| WireError { offset, fault };
    assert_eq!(fault(&[0x80]), at(0, WireFault::NumberCut));
    assert_eq!(fault(&[0xff; 11]), at(0, WireFault::NumberTooLong));
    assert_eq!(fault(&[0x12, 0x05, 0x00]), at(2, WireFault::PastEnd { wanted: 5, left: 1 }));
    assert_eq!(fault(&[0x00, 0x00]), at(0, WireFault::FieldNumber(0)));
    assert_eq!(fault(&[0x13]), at(0, WireFault::WireType(3)));
    assert_eq!(fault(&[0x10, 0x00]), at(2, WireFault::NotBytes { field: 2 }));
    assert_eq!(fault(&[0x12, 0x03, 0x0a, 0x02, 0x00]), at(4, WireFault::PastEnd { wanted: 2, left: 1 }));
    let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let refused = collection_elements(&Bytes::copy_from_slice(&huge)).expect_err("malformed");
    assert_eq!(refused, at(11, WireFault::PastEnd { wanted: u64::MAX, left: 0 }));
    assert_eq!(
        refused.to_string(),
        "malformed literal at byte 11: a field of 18446744073709551615 bytes where 0 are left"
    );
}

#[test]
fn a_name_that_is_not_text_is_told() {
    let map = Bytes::from_static(&[0x0a, 0x03, 0x0a, 0x01, 0xff]);
    assert_eq!(literal_map_entries(&map), Err(WireError { offset: 4, fault: WireFault::NotText }));
}

#[test]
fn a_collection_within_collections_is_not_walked_into() {
    let mut nested = Bytes::new();
    for _ in 0..100_000 {
        nested = encode_collection(&[nested.slice(..nested.len().min(64))]);
    }
    assert_eq!(collection_len(&nested), Ok(Some(1)));
}

#[test]
fn joining_many_items_takes_one_pass() {
    let mut builder = CollectionBuilder::default();
    (0..100_000).for_each(|value| builder.push(&encode_integer(value)));
    let all = Collection::of(&builder.finish()).expect("a literal").expect("a collection");
    let parts: Vec<Bytes> = (0..1_000).map(|n| all.slice(n * 100, (n + 1) * 100).expect("a slice")).collect();
    let mut joined = CollectionBuilder::default();
    let total: usize = parts.iter().map(|part| joined.extend(part).expect("a collection")).sum();
    assert_eq!((total, joined.len()), (100_000, 100_000));
}

fn any_literal() -> impl Strategy<Value = Literal> {
    let leaf = prop_oneof![any::<i64>().prop_map(int), ".*".prop_map(|value| text(&value)), Just(void())];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(list_of),
            prop::collection::btree_map(".*", inner, 0..8).prop_map(|literals| Literal {
                value: Some(literal::Value::Map(LiteralMap { literals })),
                ..Literal::default()
            }),
        ]
    })
}

/// Calls everything that reads encoded literals.
fn read_all(bytes: &Bytes) {
    let _ = (kind_of(bytes), literal_map_entries(bytes), literal_map_entry(bytes, "a"), map_entries(bytes));
    let _ = (collection_elements(bytes), collection_len(bytes), slice_collection(bytes, 0, 1));
    let _ = assemble_collections(std::slice::from_ref(bytes));
    let outputs =
        ChunkOutputs { range: ItemRange { start: 0, end: 2 }, failed: vec![1], outputs: bytes.clone() };
    let _ = assemble_map(["a"], 2, &[outputs]);
    if let Ok(Some(elements)) = CollectionElements::of(bytes) {
        assert!(elements.count() <= bytes.len());
    }
    if let Ok(Some(collection)) = Collection::of(bytes) {
        let _ = (collection.element(0), collection.slice(0, collection.len()));
    }
}

proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes.into());
    }

    #[test]
    fn cut_and_changed_literals_are_read_or_refused(
        value in any_literal(), cut in any::<prop::sample::Index>(), changed in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut bytes = value.encode_to_vec();
        read_all(&Bytes::copy_from_slice(&bytes[..cut.index(bytes.len() + 1)]));
        if !bytes.is_empty() {
            let (place, byte) = changed;
            let place = place.index(bytes.len());
            bytes[place] = byte;
            read_all(&bytes.into());
        }
    }

    #[test]
    fn what_is_found_without_decoding_is_what_decoding_finds(values in prop::collection::vec(any_literal(), 0..200)) {
        let elements: Vec<Bytes> = values.iter().map(encoded).collect();
        let collection = encoded(&list_of(values.clone()));
        prop_assert_eq!(collection_elements(&collection), Ok(Some(elements.clone())));
        prop_assert_eq!(encode_collection(&elements), collection);
    }

    #[test]
    fn what_decodes_is_understood_the_same_way(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let bytes = Bytes::from(bytes);
        if let (Ok(literal), Ok(kind)) = (Literal::decode(bytes.clone()), kind_of(&bytes)) {
            let expected = match literal.value {
                None => LiteralKind::Empty,
                Some(literal::Value::Scalar(_)) => LiteralKind::Scalar,
                Some(literal::Value::Collection(_)) => LiteralKind::Collection,
                Some(literal::Value::Map(_)) => LiteralKind::Map,
                Some(literal::Value::OffloadedMetadata(_)) => LiteralKind::Offloaded,
            };
            prop_assert_eq!(kind, expected);
        }
    }
}
