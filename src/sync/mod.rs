//! The primitives the backend races on.
