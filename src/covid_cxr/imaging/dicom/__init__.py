"""DICOM files to pixels."""
