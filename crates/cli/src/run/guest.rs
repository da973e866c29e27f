//! What to boot: the user's files, or the default guest.
