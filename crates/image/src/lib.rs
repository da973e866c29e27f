//! skep-image
