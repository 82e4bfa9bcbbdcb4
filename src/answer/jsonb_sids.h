/*
 * jsonb_sids.h
 *		The SIDs among the members of a JSON object.
 */
#ifndef FLEX_JSONB_SIDS_H
#define FLEX_JSONB_SIDS_H

#include "utils/jsonb.h"

extern Jsonb *flex_jsonb_sids(Jsonb *value);

#endif /* FLEX_JSONB_SIDS_H */
