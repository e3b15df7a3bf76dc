//! The types a configuration value can have, and how a mistake names them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml_edit::Item;

/// A type a TOML value can be read as.
pub trait FromItem: Sized {
    /// What a mistake says was expected, e.g. `a duration such as "30s"`.
    const EXPECTED: &'static str;
    fn from_item(item: &Item) -> Option<Self>;
}

/// A type whose values have a least and a most.
pub trait Bounded: FromItem + PartialOrd {
    /// As it is written in the file.
    fn shown(&self) -> String;
}

/// A number of bytes: `64KiB`, `2MiB`, `1GiB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl FromItem for String {
    const EXPECTED: &'static str = "text";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_str().map(str::to_owned)
    }
}

impl FromItem for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_bool()
    }
}

impl FromItem for u32 {
    const EXPECTED: &'static str = "a number from 0 to 4294967295";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_integer()?.try_into().ok()
    }
}

impl FromItem for usize {
    const EXPECTED: &'static str = "a number from 0";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_integer()?.try_into().ok()
    }
}

impl FromItem for PathBuf {
    const EXPECTED: &'static str = "a path";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_str().map(PathBuf::from)
    }
}

impl FromItem for SocketAddr {
    const EXPECTED: &'static str = "an address such as \"127.0.0.1:8080\"";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_str()?.parse().ok()
    }
}

impl FromItem for Duration {
    const EXPECTED: &'static str = "a duration such as \"500ms\", \"30s\", \"15m\", \"72h\" or \"30d\"";
    fn from_item(item: &Item) -> Option<Self> {
        let (number, unit) = number_and_unit(item.as_str()?)?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(milliseconds).map(Duration::from_millis)
    }
}

impl FromItem for ByteSize {
    const EXPECTED: &'static str = "a size such as 65536, \"64KiB\" or \"2MiB\"";
    fn from_item(item: &Item) -> Option<Self> {
        if let Some(bytes) = item.as_integer() {
            return bytes.try_into().ok().map(Self);
        }
        let (number, unit) = number_and_unit(item.as_str()?)?;
        let shift = match unit {
            "B" | "" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        usize::try_from(number).ok()?.checked_mul(1 << shift).map(Self)
    }
}

impl<T: FromItem> FromItem for Vec<T> {
    const EXPECTED: &'static str = "an array of values of one type";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_array()?.iter().map(|value| T::from_item(&Item::Value(value.clone()))).collect()
    }
}

impl Bounded for u32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Bounded for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Bounded for Duration {
    fn shown(&self) -> String {
        let milliseconds = self.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let whole = units.iter().find(|(unit, _)| milliseconds > 0 && milliseconds.is_multiple_of(*unit));
        let (unit, name) = whole.copied().unwrap_or((1, "ms"));
        format!("{}{name}", milliseconds / unit)
    }
}

impl Bounded for ByteSize {
    fn shown(&self) -> String {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = units.iter().find(|(shift, _)| self.0 > 0 && self.0.trailing_zeros() >= *shift);
        whole.map_or_else(|| self.0.to_string(), |(shift, name)| format!("{}{name}", self.0 >> shift))
    }
}

/// What stands in the file, by type only: a value may be a secret.
pub(super) fn found(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "other text",
        name => name,
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_value_is_shown_as_it_is_written() {
        for (milliseconds, shown) in
            [(0, "0ms"), (1500, "1500ms"), (90_000, "90s"), (86_400_000, "1d"), (3_600_000, "1h")]
        {
            assert_eq!(Duration::from_millis(milliseconds).shown(), shown);
        }
        for (bytes, shown) in [(0, "0"), (1000, "1000"), (65_536, "64KiB"), (3 << 20, "3MiB"), (2 << 30, "2GiB")] {
            assert_eq!(ByteSize(bytes).shown(), shown);
        }
    }
}
