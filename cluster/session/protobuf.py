"""The protocol as Protobuf messages, each after its length."""
