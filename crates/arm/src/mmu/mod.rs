//! Stage-1 address translation (manual chapter B3).
