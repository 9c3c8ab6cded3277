"""How fakes are made: the protocol, the cards, and one folder per family. Nothing here schedules work."""
