//! The statements that take off and put back.
