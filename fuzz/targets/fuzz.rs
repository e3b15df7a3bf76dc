//! All targets in one program, which is linked once; `fuzz/run` names the one to run in `FUZZ_TARGET`.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    crossdock_fuzz::target(&name).unwrap_or_else(|| panic!("`FUZZ_TARGET`: no target `{name}`"))
});

libfuzzer_sys::fuzz_target!(
    init: if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
        crossdock_fuzz::seeds::write(folder.as_ref());
        std::process::exit(0);
    },
    |data: &[u8]| TARGET(data)
);
