"""One trade, trades as columns, what orders them, and the codes of their sides."""
