"""The wire: `counter.proto` and the stubs generated from it (`make protos`). Only the counter's client and server import them."""
