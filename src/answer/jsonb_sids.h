/*
 * jsonb_sids.h
 *		Reduces a JSON object to the members that are SIDs.
 */
#ifndef FLEX_JSONB_SIDS_H
#define FLEX_JSONB_SIDS_H

#include "utils/jsonb.h"

extern Jsonb *flex_jsonb_sids(Jsonb *value);

#endif /* FLEX_JSONB_SIDS_H */
