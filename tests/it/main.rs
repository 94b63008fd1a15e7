//! Integration tests: real servers, one binary, one module per behaviour.

mod codec_oracle;
