//! What is said when anemone itself is wrong.

use std::panic::{self, PanicHookInfo};

/// Makes a panic say that it is a bug in anemone, with what a report of it needs.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|info| {
        // The streams may be what broke; there is nobody left to tell.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), message(info).as_bytes());
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let what = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words");
    let place = info.location().map_or_else(|| "an unknown place".to_string(), ToString::to_string);
    let arguments: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    format!(
        "error: this is a bug in anemone, not in your program: {what}\n  \
         at {place}\n  version {}, arguments {arguments:?}\n  \
         please report it with these lines and, if you can, the file\n",
        env!("CARGO_PKG_VERSION"),
    )
}
