"""What sealift and its service cost: looked at by people, never asserted."""
