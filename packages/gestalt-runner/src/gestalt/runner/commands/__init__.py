"""The commands of `gestalt`: a file each, imported only when it is called.

Each has `main(arguments)`, and `OPTIONS`, the table of its options.
"""
