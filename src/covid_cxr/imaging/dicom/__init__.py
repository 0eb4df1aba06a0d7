"""DICOM objects -> pixels: parsing, decoding, LUTs and windows."""
