//! How results are told. Must never change one.
