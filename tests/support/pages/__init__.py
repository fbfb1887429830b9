"""The pages of the documentation, and what runs the blocks of code that stand on them."""
