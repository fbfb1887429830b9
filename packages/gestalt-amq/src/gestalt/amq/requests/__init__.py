"""Request and reply: the requester's side, the responder's, and what they say to each other."""
