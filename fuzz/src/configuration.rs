//! A configuration file and an adapter's manifest of any bytes: every mistake is reported, none is a panic.

use std::path::PathBuf;
use std::sync::LazyLock;

use crossdock::config::layers::{AdapterParameters, Layers, Sources};
use crossdock::normalize::AdapterSet;
use crossdock::normalize::manifest::{self, Manifest};

/// A folder of this process for the file under test; in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = base.join(format!("crossdock-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
});

static PARAMETERS: LazyLock<AdapterParameters> = LazyLock::new(|| {
    AdapterSet::load("mappings".as_ref(), "schemas".as_ref()).expect("the shipped adapters").parameters()
});

/// `data`: a byte that chooses what is read, then the file.
pub fn configuration(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    if choice % 2 == 0 {
        let file = FOLDER.join("crossdock.toml");
        std::fs::write(&file, text).expect("written");
        if let Ok(layers) = Layers::open(Sources { file: Some(file), ..Sources::default() }) {
            let _ = layers.folders();
            let _ = layers.settings(&PARAMETERS);
            let _ = layers.credentials("pyxis-north");
        }
    } else {
        std::fs::write(FOLDER.join(manifest::FILE), text).expect("written");
        let (read, report) = Manifest::load_sound(&FOLDER);
        assert!(read.is_some() || !report.is_empty(), "what cannot be read says why");
    }
}
