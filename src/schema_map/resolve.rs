//! Checks a map against both live catalogs and turns it into a [`super::TableMapping`].
