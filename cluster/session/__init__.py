"""The Centrifugo client protocol: messages, encodings and the state machine of one client. Pure."""
