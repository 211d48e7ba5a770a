// Data: Dataset, a finite set of samples read in any order, gives a Batch of named tensors. Data is a set to train on
// and one to validate on; DataSource, the function that opens them. OpenData opens what the `data:` section of a config
// names, and IDX files are read by ReadIdxFile.
#ifndef STOWAGE_INCLUDE_STOWAGE_DATASET_H_
#define STOWAGE_INCLUDE_STOWAGE_DATASET_H_

#include "trainer/data/batch.h"             // IWYU pragma: export
#include "trainer/data/dataset.h"           // IWYU pragma: export
#include "trainer/data/open_data.h"         // IWYU pragma: export
#include "trainer/data/samples/idx_file.h"  // IWYU pragma: export
#include "trainer/run/own_kinds.h"          // IWYU pragma: export

#endif  // STOWAGE_INCLUDE_STOWAGE_DATASET_H_
