-- Room in every page of visitor for a new version of each of its rows. A list is mailed again as a whole, so one load updates
-- whole pages; a version that does not fit goes elsewhere and needs a new entry in the index. Forward only; holds for new pages.
alter table visitor set (fillfactor = 45);
