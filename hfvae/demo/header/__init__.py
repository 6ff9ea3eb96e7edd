"""The header above the tabs: model picker, link, card. It needs no Python of its own."""
