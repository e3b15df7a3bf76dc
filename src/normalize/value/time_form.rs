//! Points in time and dates in a form of the source's own: `04.03.2026 09:15`, local time of a place it names.

use jiff::civil;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;

use crate::normalize::value::Invalid;
use crate::normalize::value::country::SellingCountry;
use crate::normalize::value::time::{self, Timestamp};

/// How a source writes its times. The default is that of the contract: RFC 3339, local times in the selling country.
#[derive(Debug, Clone, Default)]
pub struct TimeForm {
    format: Option<Format>,
    /// Whose clock tells a time without offset, in the place of the selling country's.
    zone: Option<TimeZone>,
}

#[derive(Debug, Clone)]
struct Format {
    directives: Box<str>,
    /// Whether it says an offset or counts from the epoch.
    is_absolute: bool,
}

/// Not before this instant's fields can be told apart: 2026-03-04T09:15:30.123Z.
const SAMPLE_MS: i64 = 1_772_615_730_123;

impl TimeForm {
    /// `format`: directives of `strptime`, such as `%d.%m.%Y %H:%M`; `None`: RFC 3339. `zone`: an IANA name.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence.
    pub fn new(format: Option<&str>, zone: Option<&str>) -> Result<Self, String> {
        let zone = zone.map(|name| TimeZone::get(name).map_err(|_| format!("`zone`: no time zone `{name}`")));
        Ok(Self { format: format.map(Format::new).transpose()?, zone: zone.transpose()? })
    }

    /// Whether a time in this form has its meaning without a selling country. `raw`: the time itself.
    pub fn is_complete(&self, raw: &str) -> bool {
        match &self.format {
            _ if self.zone.is_some() => true,
            Some(format) => format.is_absolute,
            // A date is a date everywhere; behind it comes the time, and only there an offset.
            None => raw.len() == 10 || raw.bytes().skip(10).any(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-')),
        }
    }

    /// The instant.
    ///
    /// # Errors
    /// As [`time::timestamp`].
    pub fn timestamp(&self, raw: &str, country: Option<SellingCountry>) -> Result<Timestamp, Invalid> {
        let Some(format) = &self.format else { return time::timestamp_in(raw, self.zone(country)) };
        let epoch_ms = format.parse(raw).and_then(|time| self.epoch_ms(&time, country));
        Timestamp::from_epoch_ms(epoch_ms.ok_or_else(|| format.expected())?)
    }

    /// The date as `YYYY-MM-DD`: that of the zone's clock if the form says an instant.
    ///
    /// # Errors
    /// As [`time::date`].
    pub fn date(&self, raw: &str, country: Option<SellingCountry>) -> Result<String, Invalid> {
        let Some(format) = &self.format else { return time::date_in(raw, self.zone(country)) };
        let found = format.parse(raw).and_then(|time| match format.is_absolute {
            true => {
                let instant = jiff::Timestamp::from_millisecond(self.epoch_ms(&time, country)?).ok()?;
                Some(self.zone(country).unwrap_or(&TimeZone::UTC).to_datetime(instant).date())
            }
            false => time.to_date().ok(),
        });
        time::checked_date(found.ok_or_else(|| format.expected())?)
    }

    fn zone(&self, country: Option<SellingCountry>) -> Option<&TimeZone> {
        self.zone.as_ref().or_else(|| country.map(SellingCountry::zone))
    }

    fn epoch_ms(&self, time: &BrokenDownTime, country: Option<SellingCountry>) -> Option<i64> {
        if let Some(instant) = time.timestamp() {
            return Some(instant.as_millisecond());
        }
        let civil: civil::DateTime = match time.hour() {
            Some(_) => time.to_datetime().ok()?,
            None => time.to_date().ok()?.at(0, 0, 0, 0),
        };
        let instant = match time.offset() {
            Some(offset) => offset.to_timestamp(civil).ok()?,
            None => self.zone(country).unwrap_or(&TimeZone::UTC).to_timestamp(civil).ok()?,
        };
        Some(instant.as_millisecond())
    }
}

impl Format {
    /// Writes a known instant and reads it back: a form that cannot say a date is refused before any order meets it.
    fn new(directives: &str) -> Result<Self, String> {
        let unusable = |reason: String| format!("`format`: {reason}");
        let sample = jiff::Timestamp::from_millisecond(SAMPLE_MS).unwrap_or_default().to_zoned(TimeZone::UTC);
        let text = strtime::format(directives, &sample).map_err(|error| unusable(error.to_string()))?;
        let read = strtime::parse(directives, &text).map_err(|error| unusable(error.to_string()))?;
        let is_absolute = read.timestamp().is_some() || (read.offset().is_some() && read.hour().is_some());
        if !is_absolute && read.to_date().is_err() {
            return Err(unusable("expected directives that give a date, such as `%d.%m.%Y`".to_owned()));
        }
        Ok(Self { directives: directives.into(), is_absolute })
    }

    fn parse(&self, raw: &str) -> Option<BrokenDownTime> {
        strtime::parse(&*self.directives, raw).ok()
    }

    fn expected(&self) -> Invalid {
        Invalid::format(format!("expected a time of the form `{}`", self.directives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SellingCountry::{Fr, Pt};

    #[test]
    fn a_time_of_the_sources_own_form_becomes_an_instant() {
        for (format, zone, country, raw, expected) in [
            (Some("%d.%m.%Y %H:%M"), None, Fr, "04.03.2026 09:15", Some("2026-03-04T08:15:00.000Z")),
            (Some("%d.%m.%Y %H:%M"), None, Pt, "04.03.2026 09:15", Some("2026-03-04T09:15:00.000Z")),
            (Some("%d.%m.%Y %H:%M"), Some("Europe/Berlin"), Pt, "04.03.2026 09:15", Some("2026-03-04T08:15:00.000Z")),
            (Some("%Y%m%d%H%M%S"), Some("America/Sao_Paulo"), Fr, "20260304091530", Some("2026-03-04T12:15:30.000Z")),
            (
                Some("%d/%m/%Y %H:%M:%S%.f %z"),
                None,
                Fr,
                "04/03/2026 09:15:30.25 -0200",
                Some("2026-03-04T11:15:30.250Z"),
            ),
            (Some("%Y-%m-%d"), None, Fr, "2026-03-04", Some("2026-03-03T23:00:00.000Z")),
            (Some("%s"), None, Fr, "1772612130", Some("2026-03-04T08:15:30.000Z")),
            (None, Some("Europe/Berlin"), Pt, "2026-03-04T09:15:30", Some("2026-03-04T08:15:30.000Z")),
            (None, Some("Europe/Berlin"), Pt, "2026-03-04T09:15:30Z", Some("2026-03-04T09:15:30.000Z")),
            // The gap takes the offset before it.
            (Some("%d.%m.%Y %H:%M"), None, Fr, "29.03.2026 02:30", Some("2026-03-29T01:30:00.000Z")),
            (Some("%d.%m.%Y %H:%M"), None, Fr, "2026-03-04T09:15:30Z", None),
            (Some("%d.%m.%Y %H:%M"), None, Fr, "31.02.2026 09:15", None),
            (Some("%d.%m.%Y %H:%M"), None, Fr, "04.03.2026 09:15 ", None),
            (Some("%d.%m.%Y %H:%M"), None, Fr, "04.03.1999 09:15", None),
            (Some("%s"), None, Fr, "99999999999999999999", None),
        ] {
            let form = TimeForm::new(format, zone).expect("a usable form");

            let found = form.timestamp(raw, Some(country)).ok().map(Timestamp::to_text);

            assert_eq!(found.as_deref(), expected, "{format:?} {zone:?} {raw}");
        }
    }

    #[test]
    fn a_date_of_the_sources_own_form_stays_the_date_it_is() {
        for (format, raw, expected) in [
            ("%d/%m/%Y", "19/03/2026", Some("2026-03-19")),
            ("%d.%m.%Y %H:%M", "19.03.2026 23:30", Some("2026-03-19")),
            ("%d.%m.%Y %H:%M %z", "19.03.2026 23:30 +0000", Some("2026-03-20")), // Paris
            ("%d/%m/%Y", "2026-03-19", None),
            ("%d/%m/%Y", "30/02/2026", None),
            ("%d/%m/%Y", "01/01/1999", None),
        ] {
            let form = TimeForm::new(Some(format), None).expect("a usable form");

            assert_eq!(form.date(raw, Some(Fr)).ok().as_deref(), expected, "{format} {raw}");
        }
    }

    #[test]
    fn a_form_that_gives_no_date_is_refused() {
        for (format, zone) in [(Some("%H:%M"), None), (Some("%é"), None), (Some(""), None), (None, Some("Mars/Base"))]
        {
            assert!(TimeForm::new(format, zone).is_err(), "{format:?} {zone:?}");
        }
    }
}
