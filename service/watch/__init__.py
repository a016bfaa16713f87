"""Answer the films of an archive with DICOM objects: `cxr watch`."""
