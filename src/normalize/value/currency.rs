//! Currencies: active ISO 4217 codes with their minor unit.

use crate::normalize::value::Invalid;

/// An active currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    minor_unit: u8,
}

impl Currency {
    /// ISO 4217 code.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Decimals of an amount: EUR 2, JPY 0, KWD 3.
    pub const fn minor_unit(self) -> u8 {
        self.minor_unit
    }
}

/// The currency: trimmed, upper-cased, an active ISO 4217 code that amounts can be written in.
///
/// # Errors
/// `UnknownCode` otherwise, whatever its shape: also for withdrawn codes, and for those without a minor unit (metals,
/// units of account, `XTS`, `XXX`), in which the decimals of an amount would have no meaning.
pub fn currency(raw: &str) -> Result<Currency, Invalid> {
    let code = raw.trim().to_ascii_uppercase();
    iso_currency::Currency::from_code(&code)
        .filter(|&found| is_active(found))
        .and_then(|found| Some(Currency { code: found.code(), minor_unit: u8::try_from(found.exponent()?).ok()? }))
        .ok_or_else(|| Invalid::unknown("expected an active ISO 4217 currency code"))
}

/// The library marks withdrawn codes as superseded, and with them `VES`, which stays in ISO 4217 list one beside `VED`.
fn is_active(currency: iso_currency::Currency) -> bool {
    currency.is_superseded().is_none() || currency == iso_currency::Currency::VES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::rejection::Code;

    #[test]
    fn an_active_currency_has_its_minor_unit() {
        for (raw, code, minor_unit) in [
            ("EUR", "EUR", 2),
            (" eur\n", "EUR", 2),
            ("pln", "PLN", 2),
            ("JPY", "JPY", 0),
            ("KWD", "KWD", 3),
            ("CLF", "CLF", 4),
            ("VES", "VES", 2),
            ("XAF", "XAF", 0),
        ] {
            let found = currency(raw).unwrap_or_else(|invalid| panic!("{raw:?}: {invalid:?}"));
            assert_eq!((found.code(), found.minor_unit()), (code, minor_unit), "{raw:?}");
        }
    }

    #[test]
    fn withdrawn_and_unusable_codes_are_unknown() {
        for raw in [
            "FRF", "DEM", "ITL", "ESP", "PTE", "PLZ", "HRK", "BGN", "CUC", "SLL", "ZWL", "ANG", "XTS", "XXX", "XAU",
            "XDR", "EURO", "€", "EU", "", "978", "euſ",
        ] {
            assert_eq!(currency(raw).map_err(|invalid| invalid.code), Err(Code::UnknownCode), "{raw:?}");
        }
    }
}
