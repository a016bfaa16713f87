"""Make DICOM objects of an answer about a DICOM film: report, parametric map, overlay."""
