"""An answer about a DICOM film as DICOM objects: report, parametric map, overlay."""
