//! MIL text: read, print, format.
