//! What goes in comes out, and what is of another type does not go in.

use super::*;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn stays<T: Value + Clone + PartialEq + Debug>(value: &T) {
    assert_eq!(T::from_plain(value.clone().into_plain()).as_ref(), Some(value));
    assert_eq!(T::from_literal(&value.clone().into_literal()).as_ref(), Some(value));
}

#[test]
fn every_type_stays_what_it_is_both_ways() {
    for value in [true, false] {
        stays(&value);
    }
    for value in [0, i64::MIN, i64::MAX] {
        stays(&value);
    }
    for value in [0.0, -1.5, f64::INFINITY, f64::MAX] {
        stays(&value);
    }
    for value in ["", "ü\u{1f9f6}"] {
        stays(&value.to_owned());
    }
    let before = UNIX_EPOCH.checked_sub(Duration::from_micros(1_500_001)).expect("times before the epoch");
    for value in [UNIX_EPOCH, before, UNIX_EPOCH + Duration::from_micros(1_764_000_000_123_456)] {
        stays(&value);
    }
    for micros in [0, 1, -1, -1_500_000, 86_400_000_000] {
        stays(&Timedelta { micros });
    }
    stays(&Duration::from_micros(1_000_001));
    stays(&vec![vec![1_i64], Vec::new()]);
    stays(&BTreeMap::from([("a".to_owned(), vec![1.5])]));
    stays(&HashMap::from([("a".to_owned(), true)]));
    stays(&Some(7_i64));
    stays(&None::<String>);
    stays(&vec![Some(1_i64), None]);
}

#[test]
fn a_value_of_another_type_is_refused() {
    fn refuses<T: Value + Debug>(others: Vec<(Plain, Literal)>) {
        for (plain, literal) in others {
            assert!(T::from_plain(plain.clone()).is_none(), "{plain:?}");
            assert!(T::from_literal(&literal).is_none(), "{literal:?}");
        }
    }
    fn forms<T: Value + Clone>(value: T) -> (Plain, Literal) {
        (value.clone().into_plain(), value.into_literal())
    }
    let (number, text, list) = (forms(1_i64), forms("1".to_owned()), forms(vec![1_i64]));
    let (float, nothing) = (forms(1.0), forms(None::<i64>));
    refuses::<bool>(vec![number.clone(), text.clone(), list.clone(), nothing.clone()]);
    refuses::<i64>(vec![float.clone(), text.clone(), list.clone(), nothing.clone()]);
    refuses::<f64>(vec![text.clone(), list.clone(), nothing.clone()]);
    refuses::<String>(vec![number.clone(), list.clone(), nothing]);
    refuses::<SystemTime>(vec![float.clone(), text.clone()]);
    refuses::<Vec<i64>>(vec![number.clone(), forms(vec![1.5])]);
    refuses::<BTreeMap<String, i64>>(vec![list, number]);
    refuses::<Option<i64>>(vec![float, text]);
    refuses::<Duration>(vec![forms(Timedelta { micros: -1 })]);
    for literal in [Literal::default(), of_scalar(scalar::Value::NoneType(Default::default()))] {
        assert!(bool::from_literal(&literal).is_none());
    }
}

#[test]
fn a_whole_number_is_a_float_too_as_for_the_sdk() {
    assert_eq!(f64::from_literal(&3_i64.into_literal()), Some(3.0));
    assert_eq!(f64::from_plain(Plain::Int(3)), Some(3.0));
}

#[test]
fn parts_of_a_microsecond_are_left_out_towards_the_past() {
    let part = Duration::from_nanos(1_999);
    let later = SystemTime::from_literal(&(UNIX_EPOCH + part).into_literal());
    assert_eq!(later, Some(UNIX_EPOCH + Duration::from_micros(1)));
    let earlier = SystemTime::from_literal(&(UNIX_EPOCH - part).into_literal());
    assert_eq!(earlier, Some(UNIX_EPOCH - Duration::from_micros(2)));
}

#[test]
fn an_optional_value_is_a_union_as_the_sdk_writes_it() {
    let Some(literal_type::Type::UnionType(union)) = <Option<Vec<i64>>>::literal_type().r#type else {
        panic!("no union");
    };
    let tags: Vec<_> =
        union.variants.iter().map(|variant| variant.structure.as_ref().map_or("", |tag| &tag.tag)).collect();
    assert_eq!(tags, ["Typed List", "none"]);
    assert_eq!(<Option<i64>>::from_literal(&4_i64.into_literal()), Some(Some(4)), "a bare value is one");
}
