//! Which rows break a key.
