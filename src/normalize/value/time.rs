//! Points in time and calendar dates.
//!
//! The shape is read strictly by hand, the calendar and the zones are `jiff`'s with its own time zone database: the
//! same text gives the same instant on every machine.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::normalize::value::Invalid;
use crate::normalize::value::country::SellingCountry;

/// 2000-01-01T00:00:00Z and 2100-01-01T00:00:00Z in epoch milliseconds: no time outside them is accepted.
const EARLIEST_MS: i64 = 946_684_800_000;
const LATEST_MS: i64 = 4_102_444_800_000;

/// A point in time, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    epoch_ms: i64,
}

impl Timestamp {
    /// # Errors
    /// `InvalidFormat` before 2000-01-01 or after 2100-01-01.
    pub fn from_epoch_ms(epoch_ms: i64) -> Result<Self, Invalid> {
        match (EARLIEST_MS..=LATEST_MS).contains(&epoch_ms) {
            true => Ok(Self { epoch_ms }),
            false => Err(out_of_range()),
        }
    }

    pub const fn epoch_ms(self) -> i64 {
        self.epoch_ms
    }

    /// UTC as `2026-03-04T08:15:30.000Z`.
    pub fn to_text(self) -> String {
        let (days, ms) = (self.epoch_ms.div_euclid(86_400_000), self.epoch_ms.rem_euclid(86_400_000));
        let date = jiff::Timestamp::from_second(days * 86_400)
            .map(|midnight| jiff::tz::Offset::UTC.to_datetime(midnight).date())
            .unwrap_or_default();
        let (minutes, ms) = (ms / 60_000, ms % 60_000);
        format!("{date}T{:02}:{:02}:{:02}.{:03}Z", minutes / 60, minutes % 60, ms / 1000, ms % 1000)
    }
}

/// The instant of an RFC 3339 / ISO 8601 date-time: `T`, seconds, up to 9 fraction digits (cut to milliseconds), then
/// `Z`, `±hh:mm`, `±hhmm` or nothing.
///
/// Without an offset it is local time in `country`: the earlier instant if the clock shows it twice, the offset in
/// force before a gap if it never does. If `country` is `None` (it could not be read) such a time is judged as if it
/// were UTC, for an order that will be rejected anyway.
///
/// A leap second is accepted where one can be, at 23:59:60 UTC on the last day of a month, and read like every clock
/// that has none: as the second after it.
///
/// # Errors
/// `InvalidFormat` for any other shape, for a date or time that does not exist, and outside 2000-01-01 to 2100-01-01.
pub fn timestamp(raw: &str, country: Option<SellingCountry>) -> Result<Timestamp, Invalid> {
    timestamp_in(raw, country.map(SellingCountry::zone))
}

/// As [`timestamp`], with any zone.
///
/// # Errors
/// As [`timestamp`].
pub fn timestamp_in(raw: &str, zone: Option<&TimeZone>) -> Result<Timestamp, Invalid> {
    let epoch_ms = DateTime::parse(raw)
        .and_then(|datetime| datetime.epoch_ms(zone))
        .ok_or_else(|| Invalid::format("expected a date and time such as `2026-03-04T09:15:30+01:00` (RFC 3339)"))?;
    Timestamp::from_epoch_ms(epoch_ms)
}

/// The date as `YYYY-MM-DD`. A date stays the date it is; a date-time is that of the day in `country`.
///
/// # Errors
/// `InvalidFormat` if it is neither, does not exist, or is before 2000-01-01 or after 2100-01-01.
pub fn date(raw: &str, country: Option<SellingCountry>) -> Result<String, Invalid> {
    date_in(raw, country.map(SellingCountry::zone))
}

/// As [`date`], with any zone.
///
/// # Errors
/// As [`date`].
pub fn date_in(raw: &str, zone: Option<&TimeZone>) -> Result<String, Invalid> {
    let found = match raw.len() {
        10 => parse_date(raw.as_bytes()),
        _ => DateTime::parse(raw).and_then(|datetime| datetime.local_date(zone)),
    };
    checked_date(found.ok_or_else(|| Invalid::format("expected a date such as `2026-03-19`"))?)
}

/// The date as `YYYY-MM-DD`.
///
/// # Errors
/// `InvalidFormat` before 2000-01-01 or after 2100-01-01.
pub(super) fn checked_date(date: civil::Date) -> Result<String, Invalid> {
    if date < civil::date(2000, 1, 1) || date > civil::date(2100, 1, 1) {
        return Err(out_of_range());
    }
    Ok(date.to_string())
}

fn out_of_range() -> Invalid {
    Invalid::format("expected a time from 2000-01-01 to 2100-01-01")
}

/// A date-time as written.
#[derive(Debug, Clone, Copy)]
struct DateTime {
    /// To the second; `:60` is held as `:59`.
    civil: civil::DateTime,
    ms: i64,
    leap_second: bool,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

impl DateTime {
    fn parse(raw: &str) -> Option<Self> {
        let (date, rest) = raw.as_bytes().split_at_checked(10)?;
        let date = parse_date(date)?;
        let [b'T' | b't', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else { return None };
        let (hour, minute, second) = (pair(*h1, *h2)?, pair(*m1, *m2)?, pair(*s1, *s2)?);
        let leap_second = second == 60;
        let time = civil::Time::new(hour, minute, if leap_second { 59 } else { second }, 0).ok()?;
        let (ms, rest) = match rest {
            [b'.', rest @ ..] => {
                let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (digits, rest) = rest.split_at_checked(count)?;
                if !(1..=9).contains(&count) {
                    return None;
                }
                let digit = |place: usize| digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
                (digit(0) * 100 + digit(1) * 10 + digit(2), rest)
            }
            rest => (0, rest),
        };
        let offset = match *rest {
            [] => None,
            [b'Z' | b'z'] => Some(0),
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
                let (hours, minutes) = (i64::from(pair(h1, h2)?), i64::from(pair(m1, m2)?));
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = hours * 3600 + minutes * 60;
                Some(if sign == b'-' { -seconds } else { seconds })
            }
            _ => return None,
        };
        Some(Self { civil: date.to_datetime(time), ms, leap_second, offset })
    }

    fn epoch_ms(self, zone: Option<&TimeZone>) -> Option<i64> {
        let seconds = match (self.offset, zone) {
            (Some(offset), _) => utc_seconds(self.civil)?.checked_sub(offset)?,
            // Its rule for gaps and folds ("compatible") is the contract's.
            (None, Some(zone)) => zone.to_timestamp(self.civil).ok()?.as_second(),
            (None, None) => utc_seconds(self.civil)?,
        };
        if !self.leap_second {
            return seconds.checked_mul(1000)?.checked_add(self.ms);
        }
        let next = seconds.checked_add(1)?;
        let utc = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(next).ok()?);
        let starts_a_month = utc.day() == 1 && utc.time() == civil::Time::midnight();
        starts_a_month.then(|| next.checked_mul(1000)?.checked_add(self.ms))?
    }

    fn local_date(self, zone: Option<&TimeZone>) -> Option<civil::Date> {
        let instant = jiff::Timestamp::from_millisecond(self.epoch_ms(zone)?).ok()?;
        Some(zone.unwrap_or(&TimeZone::UTC).to_datetime(instant).date())
    }
}

fn utc_seconds(civil: civil::DateTime) -> Option<i64> {
    jiff::tz::Offset::UTC.to_timestamp(civil).ok().map(jiff::Timestamp::as_second)
}

fn parse_date(raw: &[u8]) -> Option<civil::Date> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = raw else { return None };
    let year = i16::from(pair(y1, y2)?) * 100 + i16::from(pair(y3, y4)?);
    civil::Date::new(year, pair(m1, m2)?, pair(d1, d2)?).ok()
}

/// The number of two digits.
fn pair(first: u8, second: u8) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i8::try_from(byte - b'0').ok()).flatten();
    Some(digit(first)? * 10 + digit(second)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SellingCountry::{Es, Fr, It, Pl, Pt};

    fn utc(raw: &str, country: SellingCountry) -> Option<String> {
        timestamp(raw, Some(country)).ok().map(Timestamp::to_text)
    }

    #[test]
    fn a_time_becomes_utc_with_milliseconds() {
        for (raw, expected) in [
            ("2026-03-04T09:15:30+01:00", "2026-03-04T08:15:30.000Z"),
            ("2026-03-04T09:15:30+0100", "2026-03-04T08:15:30.000Z"),
            ("2026-03-11T18:40:05.250Z", "2026-03-11T18:40:05.250Z"),
            ("2026-03-11t18:40:05z", "2026-03-11T18:40:05.000Z"),
            ("2026-03-11T18:40:05.2Z", "2026-03-11T18:40:05.200Z"),
            ("2026-03-11T18:40:05.1239Z", "2026-03-11T18:40:05.123Z"), // cut, not rounded
            ("2026-03-11T18:40:05.999999999Z", "2026-03-11T18:40:05.999Z"),
            ("2026-03-11T18:40:05-23:59", "2026-03-12T18:39:05.000Z"),
            ("2026-03-11T18:40:05-00:00", "2026-03-11T18:40:05.000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
            ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z"),
            ("2100-01-01T00:00:00Z", "2100-01-01T00:00:00.000Z"),
            ("2100-01-01T01:00:00+01:00", "2100-01-01T00:00:00.000Z"),
            ("2026-03-04T09:15:30", "2026-03-04T08:15:30.000Z"), // Paris
            ("2026-07-04T09:15:30.5", "2026-07-04T07:15:30.500Z"),
        ] {
            assert_eq!(utc(raw, Fr).as_deref(), Some(expected), "{raw:?}");
        }
        assert_eq!(timestamp("2026-03-04T09:15:30+01:00", None).map(Timestamp::epoch_ms), Ok(1_772_612_130_000));
    }

    #[test]
    fn every_other_shape_is_refused() {
        for raw in [
            "",
            "2026-03-04",
            "2026-03-04T09:15",
            "2026-03-04T09:15Z",
            "2026-03-04 09:15:30Z",
            "20260304T091530Z",
            "2026-3-4T09:15:30Z",
            "2026-03-04T9:15:30Z",
            "2026-03-04T24:00:00Z",
            "2026-03-04T09:60:00Z",
            "2026-03-04T09:15:30+1",
            "2026-03-04T09:15:30+01",
            "2026-03-04T09:15:30+24:00",
            "2026-03-04T09:15:30+01:60",
            "2026-03-04T09:15:30.Z",
            "2026-03-04T09:15:30.1234567890Z",
            "2026-03-04T09:15:30,5Z",
            "2026-03-04T09:15:30ZZ",
            "2026-03-04T09:15:30Z ",
            " 2026-03-04T09:15:30Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "+002026-03-04T09:15:30Z",
            "２０２６-03-04T09:15:30Z",
            "2026-03-04T09:15:30\0",
            "1772612130000",
            "Wed, 04 Mar 2026 09:15:30 GMT",
            "1999-12-31T23:59:59.999Z",
            "2100-01-01T00:00:00.001Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-03-04T09:15:30[Europe/Paris]",
            "2026-03-04é09:15:30Z",
        ] {
            assert_eq!(utc(raw, Fr), None, "{raw:?}");
        }
    }

    #[test]
    fn the_gap_takes_the_offset_before_it_and_the_fold_the_earlier_instant() {
        // 2026: clocks change on 29 March and 25 October, at 01:00 UTC everywhere.
        for (country, raw, expected) in [
            (Fr, "2026-03-29T01:59:59", "2026-03-29T00:59:59.000Z"),
            (Fr, "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),
            (Es, "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),
            (It, "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),
            (Pl, "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),
            (Pt, "2026-03-29T01:30:00", "2026-03-29T01:30:00.000Z"),
            (Pt, "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"), // no gap here any more
            (Fr, "2026-03-29T03:00:00", "2026-03-29T01:00:00.000Z"),
            (Fr, "2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),
            (Es, "2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),
            (It, "2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),
            (Pl, "2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),
            (Pt, "2026-10-25T01:30:00", "2026-10-25T00:30:00.000Z"),
            (Fr, "2026-10-25T03:00:00", "2026-10-25T02:00:00.000Z"),
            (Fr, "2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00.000Z"), // the offset decides
        ] {
            assert_eq!(utc(raw, country).as_deref(), Some(expected), "{country:?} {raw}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_after_it_and_only_where_one_can_be() {
        for (raw, expected) in [
            ("2016-12-31T23:59:60Z", Some("2017-01-01T00:00:00.000Z")),
            ("2016-12-31T23:59:60.500Z", Some("2017-01-01T00:00:00.500Z")),
            ("2017-01-01T00:59:60+01:00", Some("2017-01-01T00:00:00.000Z")),
            ("2017-01-01T00:59:60", Some("2017-01-01T00:00:00.000Z")), // Paris
            ("2016-12-31T23:58:60Z", None),
            ("2016-12-30T23:59:60Z", None),
            ("2016-12-31T23:59:61Z", None),
        ] {
            assert_eq!(utc(raw, Fr).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn a_date_stays_a_date_and_a_time_is_cut_to_the_local_one() {
        for (country, raw, expected) in [
            (Fr, "2026-03-19", Some("2026-03-19")),
            (Fr, "2000-01-01", Some("2000-01-01")),
            (Fr, "2100-01-01", Some("2100-01-01")),
            (Fr, "2026-03-19T23:30:00Z", Some("2026-03-20")),
            (Pt, "2026-03-19T23:30:00Z", Some("2026-03-19")),
            (Fr, "2026-03-19T00:30:00+02:00", Some("2026-03-18")),
            (Fr, "2026-03-19T23:30:00", Some("2026-03-19")),
            (Fr, "1999-12-31T23:30:00Z", Some("2000-01-01")),
            (Fr, "1999-12-31", None),
            (Fr, "2100-01-02", None),
            (Fr, "2026-02-30", None),
            (Fr, "2026-2-3", None),
            (Fr, "19/03/2026", None),
            (Fr, "20260319", None),
            (Fr, "2026-03-19 ", None),
            (Fr, "2026-03-19Z", None),
            (Fr, "éééé-ié", None),
        ] {
            assert_eq!(date(raw, Some(country)).ok().as_deref(), expected, "{country:?} {raw:?}");
        }
    }
}
