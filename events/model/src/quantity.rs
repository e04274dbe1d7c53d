//! Kubernetes quantities: `500m`, `1.5`, `2Gi`, `3e2`. Exact, so that comparing does not round.

use std::str::FromStr;

/// An amount in units of 10⁻⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// Text that is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity such as 500m, 2 or 1.5Gi")]
pub struct QuantityError;

const NANO: i128 = 1_000_000_000;
/// More digits than any amount has; what bounds the arithmetic.
const DIGITS_MAX: usize = 18;

impl Quantity {
    /// Says whether it is a whole number.
    pub const fn is_whole(self) -> bool {
        self.0 % NANO == 0
    }

    /// Says whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Says whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Makes one of thousandths.
    pub fn of_millis(millis: u64) -> Self {
        Self(i128::from(millis) * (NANO / 1_000))
    }

    /// Answers it in whole units, rounded up; none when that is less than nothing, or more than the type holds.
    pub fn units(self) -> Option<u64> {
        self.in_parts_of(NANO)
    }

    /// Answers it in thousandths, rounded up; none as for [`Quantity::units`].
    pub fn millis(self) -> Option<u64> {
        self.in_parts_of(NANO / 1_000)
    }

    fn in_parts_of(self, part: i128) -> Option<u64> {
        let up = i128::from(self.0 % part > 0);
        u64::try_from(self.0 / part + up).ok()
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, text) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = whole.len() + fraction.len();
        if digits == 0 || digits > DIGITS_MAX || fraction.contains('.') {
            return Err(QuantityError);
        }
        let value: i128 = format!("{whole}{fraction}").parse().map_err(|_| QuantityError)?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| QuantityError)?);
        let nanos = value.checked_mul(multiplier(suffix)?).ok_or(QuantityError)?;
        let nanos = if suffix.starts_with(['e', 'E']) && suffix.len() > 1 {
            with_exponent(value, &suffix[1..])? / scale
        } else {
            nanos / scale
        };
        Ok(Self(if negative { -nanos } else { nanos }))
    }
}

/// Answers how many units of 10⁻⁹ one of a suffix is.
fn multiplier(suffix: &str) -> Result<i128, QuantityError> {
    Ok(match suffix {
        "" => NANO,
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "k" => NANO * 1_000,
        "M" => NANO * 1_000_000,
        "G" => NANO * 1_000_000_000,
        "T" => NANO * 1_000_000_000_000,
        "P" => NANO * 1_000_000_000_000_000,
        "E" => NANO * 1_000_000_000_000_000_000,
        "Ki" => NANO << 10,
        "Mi" => NANO << 20,
        "Gi" => NANO << 30,
        "Ti" => NANO << 40,
        "Pi" => NANO << 50,
        "Ei" => NANO << 60,
        // What follows is the exponent, which is read on its own.
        other if other.len() > 1 && other.starts_with(['e', 'E']) => 1,
        _ => return Err(QuantityError),
    })
}

fn with_exponent(value: i128, exponent: &str) -> Result<i128, QuantityError> {
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs()).ok_or(QuantityError)?;
    let nanos = value.checked_mul(NANO).ok_or(QuantityError)?;
    if exponent < 0 { Ok(nanos / power) } else { nanos.checked_mul(power).ok_or(QuantityError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().expect(text)
    }

    #[test]
    fn equal_amounts_are_equal_however_they_are_written() {
        assert_eq!(quantity("1"), quantity("1000m"));
        assert_eq!(quantity("0.5"), quantity("500m"));
        assert_eq!(quantity("1Gi"), quantity("1024Mi"));
        assert_eq!(quantity("1e3"), quantity("1k"));
        assert_eq!(quantity("12E"), quantity("12e18"));
        assert_eq!(quantity("1.5e1"), quantity("15"));
    }

    #[test]
    fn amounts_are_ordered() {
        assert!(quantity("1Gi") > quantity("1G"));
        assert!(quantity("999m") < quantity("1"));
        assert!(quantity("-1").is_negative());
    }

    #[test]
    fn a_part_of_a_unit_counts_as_a_whole_one() {
        assert_eq!((quantity("1500m").units(), quantity("1500m").millis()), (Some(2), Some(1_500)));
        assert_eq!((quantity("1u").millis(), quantity("0").units()), (Some(1), Some(0)));
        assert_eq!((quantity("-1").units(), quantity("99999E").units()), (None, None));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "1x",
            "Gi",
            "1 Gi",
            "1.2.3",
            "1e",
            "1ee3",
            "0x10",
            "1e99999999999",
            "９",
            "1234567890123456789",
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError), "{text}");
        }
    }
}
