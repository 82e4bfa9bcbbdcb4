/*
 * merge_patch.h
 *		JSON Merge Patch.
 */
#ifndef FLEX_MERGE_PATCH_H
#define FLEX_MERGE_PATCH_H

#include "utils/jsonb.h"

extern Datum flex_merge_patch(Jsonb *target, Jsonb *patch);

#endif /* FLEX_MERGE_PATCH_H */
