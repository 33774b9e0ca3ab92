z	
newst