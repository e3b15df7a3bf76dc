//! Countries: those we sell in, with everything that depends on them, and those an address may name.

use std::sync::LazyLock;

use jiff::tz::TimeZone;

use crate::normalize::value::Invalid;

/// A country orders are sold in. Others have no rules; a binding cannot list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SellingCountry {
    Fr,
    Es,
    It,
    Pl,
    Pt,
}

struct Rules {
    code: &'static str,
    currency: &'static str,
    calling_code: &'static str,
    drops_trunk_zero: bool,
    zone: &'static str,
}

impl SellingCountry {
    pub const ALL: [Self; 5] = [Self::Fr, Self::Es, Self::It, Self::Pl, Self::Pt];

    /// The selling country of an ISO 3166-1 alpha-2 code in upper case.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|country| country.code() == code)
    }

    /// ISO 3166-1 alpha-2.
    pub const fn code(self) -> &'static str {
        self.rules().code
    }

    /// ISO 4217 code of the usual currency.
    pub const fn currency(self) -> &'static str {
        self.rules().currency
    }

    /// Country calling code without `+`.
    pub const fn calling_code(self) -> &'static str {
        self.rules().calling_code
    }

    /// Whether the leading zero of a national number is left out after the calling code.
    pub const fn drops_trunk_zero(self) -> bool {
        self.rules().drops_trunk_zero
    }

    /// The zone of a time without offset.
    pub fn zone(self) -> &'static TimeZone {
        static ZONES: LazyLock<[TimeZone; 5]> = LazyLock::new(|| {
            SellingCountry::ALL.map(|country| {
                TimeZone::get(country.rules().zone).expect("the time zone database is compiled in and has the zone")
            })
        });
        let [fr, es, it, pl, pt] = &*ZONES;
        match self {
            Self::Fr => fr,
            Self::Es => es,
            Self::It => it,
            Self::Pl => pl,
            Self::Pt => pt,
        }
    }

    #[rustfmt::skip]
    const fn rules(self) -> &'static Rules {
        match self {
            Self::Fr => &Rules { code: "FR", currency: "EUR", calling_code: "33", drops_trunk_zero: true, zone: "Europe/Paris" },
            Self::Es => &Rules { code: "ES", currency: "EUR", calling_code: "34", drops_trunk_zero: false, zone: "Europe/Madrid" },
            Self::It => &Rules { code: "IT", currency: "EUR", calling_code: "39", drops_trunk_zero: false, zone: "Europe/Rome" },
            Self::Pl => &Rules { code: "PL", currency: "PLN", calling_code: "48", drops_trunk_zero: false, zone: "Europe/Warsaw" },
            Self::Pt => &Rules { code: "PT", currency: "EUR", calling_code: "351", drops_trunk_zero: false, zone: "Europe/Lisbon" },
        }
    }
}

/// The selling country: trimmed, upper-cased, one of `allowed` (the binding's list, in upper case).
///
/// # Errors
/// `InvalidFormat` if it is not two letters, `UnknownCode` if it is not in the list or has no rules.
pub fn selling_country(raw: &str, allowed: &[impl AsRef<str>]) -> Result<SellingCountry, Invalid> {
    let letters = alpha2(raw)?;
    let code = as_text(&letters);
    allowed
        .iter()
        .find(|allowed| allowed.as_ref() == code)
        .and_then(|_| SellingCountry::from_code(code))
        .ok_or_else(|| Invalid::unknown("expected a country of the binding's list"))
}

/// The country of an address: trimmed, upper-cased, any ISO 3166-1 alpha-2 code.
///
/// # Errors
/// `InvalidFormat` if it is not two letters, `UnknownCode` if no country has the code.
pub fn address_country(raw: &str) -> Result<&'static str, Invalid> {
    let letters = alpha2(raw)?;
    rust_iso3166::from_alpha2(as_text(&letters))
        .map(|country| country.alpha2)
        .ok_or_else(|| Invalid::unknown("expected an ISO 3166-1 country code"))
}

fn alpha2(raw: &str) -> Result<[u8; 2], Invalid> {
    match raw.trim().as_bytes() {
        &[first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
            Ok([first.to_ascii_uppercase(), second.to_ascii_uppercase()])
        }
        _ => Err(Invalid::format("expected a country code of two letters (ISO 3166-1 alpha-2)")),
    }
}

fn as_text(letters: &[u8; 2]) -> &str {
    // Two ASCII letters are always UTF-8.
    std::str::from_utf8(letters).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::rejection::Code;

    #[test]
    fn a_selling_country_is_in_the_bindings_list() {
        let allowed = ["FR", "PL", "DE"];
        for (raw, expected) in [
            ("FR", Ok("FR")),
            (" fr ", Ok("FR")),
            ("pL", Ok("PL")),
            ("ES", Err(Code::UnknownCode)),
            ("DE", Err(Code::UnknownCode)), // listed, but nothing is known of it
            ("XX", Err(Code::UnknownCode)),
            ("FRA", Err(Code::InvalidFormat)),
            ("France", Err(Code::InvalidFormat)),
            ("F", Err(Code::InvalidFormat)),
            ("F1", Err(Code::InvalidFormat)),
            ("é", Err(Code::InvalidFormat)), // two bytes, one letter
            ("", Err(Code::InvalidFormat)),
        ] {
            let found = selling_country(raw, &allowed).map(SellingCountry::code).map_err(|invalid| invalid.code);
            assert_eq!(found, expected, "{raw:?}");
        }
    }

    #[test]
    fn an_address_may_be_in_any_country() {
        for (raw, expected) in [
            ("be", Ok("BE")),
            (" JP", Ok("JP")),
            ("GB", Ok("GB")),
            ("UK", Err(Code::UnknownCode)),
            ("XX", Err(Code::UnknownCode)),
            ("ZZ", Err(Code::UnknownCode)),
            ("EU", Err(Code::UnknownCode)),
            ("FRA", Err(Code::InvalidFormat)),
        ] {
            assert_eq!(address_country(raw).map_err(|invalid| invalid.code), expected, "{raw:?}");
        }
    }

    #[test]
    fn every_selling_country_has_its_zone() {
        for country in SellingCountry::ALL {
            assert_eq!(country.zone().iana_name(), Some(country.rules().zone));
            assert_eq!(SellingCountry::from_code(country.code()), Some(country));
        }
    }
}
