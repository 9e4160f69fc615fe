"""The wire: `counter.proto` and the stubs made from it (`make protos`); the counter's client and server use them."""
